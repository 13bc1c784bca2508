//! Hashes that are the same on every machine and in every version: the source of all "randomness" in this crate.
//!
//! FNV-1a over bytes, finished by the mixer of SplitMix64, so that near inputs give unrelated numbers.

use teleprompt_core::LmRequest;
use teleprompt_core::lm::{OutputConstraint, Role};

/// A hash under construction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hash(u64);

impl Hash {
    /// The hash of purpose `name` under `seed`.
    pub(crate) fn new(seed: u64, name: &str) -> Self {
        Self(0xcbf2_9ce4_8422_2325).number(seed).text(name)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        self
    }

    pub(crate) fn number(self, number: u64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    /// The length goes in too, so that `"ab", "c"` and `"a", "bc"` differ.
    pub(crate) fn text(self, text: &str) -> Self {
        self.number(text.len() as u64).bytes(text.as_bytes())
    }

    /// Everything that a request's answer depends on.
    pub(crate) fn request(self, request: &LmRequest) -> Self {
        let mut hash = self.number(request.messages.len() as u64);
        for message in &request.messages {
            let role = match message.role {
                Role::System => 0,
                Role::User => 1,
                Role::Assistant => 2,
            };
            hash = hash.number(role).text(&message.text());
        }
        let settings = &request.settings;
        hash = hash
            .number(settings.temperature.map_or(u64::MAX, f64::to_bits))
            .number(settings.max_tokens.map_or(u64::MAX, u64::from))
            .number(settings.seed.unwrap_or(u64::MAX));
        for stop in &settings.stop {
            hash = hash.text(stop);
        }
        hash = match &request.constraint {
            None => hash.number(0),
            Some(OutputConstraint::Regex(pattern)) => hash.number(1).text(pattern),
            Some(other) => hash.number(2).text(&format!("{other:?}")),
        };
        hash.number(request.rollout)
    }

    /// The hash as 64 well-mixed bits.
    pub(crate) fn bits(self) -> u64 {
        mix(self.0)
    }

    /// The hash as a number in `[0, 1)`.
    pub(crate) fn unit(self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// The hash as a number in `0..n`; 0 when `n` is 0.
    pub(crate) fn below(self, n: usize) -> usize {
        self.bits().checked_rem(n as u64).unwrap_or(0) as usize
    }
}

/// The finisher of SplitMix64 (Steele, Lea, Flood, 2014).
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A sequence of draws, for generated cases.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) fn new(hash: Hash) -> Self {
        Self(hash.bits())
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number in `0..n`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.bits().checked_rem(n as u64).unwrap_or(0) as usize
    }

    /// One of `items`, which is not empty.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[self.below(items.len())]
    }
}

#[cfg(test)]
mod tests {
    use teleprompt_core::lm::Message;

    use super::*;

    #[test]
    fn the_numbers_never_change() {
        assert_eq!(Hash::new(0, "").bits(), 4_725_398_728_194_510_117);
    }

    #[test]
    fn every_part_of_a_request_counts() {
        let request = LmRequest::new(vec![Message::user("a")]);
        let hash = |request: &LmRequest| Hash::new(0, "").request(request).bits();
        assert_ne!(hash(&request), hash(&request.clone().with_rollout(1)));
        assert_ne!(hash(&request), hash(&LmRequest::new(vec![Message::system("a")])));
        let held = request.clone().with_constraint(Some(OutputConstraint::Regex("a".into())));
        assert_ne!(hash(&request), hash(&held));
    }

    #[test]
    fn units_are_spread_evenly() {
        let mean = (0..10_000).map(|i| Hash::new(1, "u").number(i).unit()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
    }
}
