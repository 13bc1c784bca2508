//! The places where a [`Cache`](super::Cache) can keep its answers, behind one small interface.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use teleprompt_core::lm::LmResponse;

use super::file::File;

/// SHA-256 of model and request.
pub(crate) type Key = [u8; 32];

/// What an entry takes beside its text: key, check and row.
pub(super) const OVERHEAD: u64 = 80;
/// What went wrong with the store, for people; the caller adds path and remedy.
pub(crate) type Fault = String;

/// A place for answers.
pub(crate) enum Store {
    Memory(Mutex<Memory>),
    File(File),
}

impl Store {
    pub(crate) fn memory(max_bytes: Option<u64>) -> Self {
        Self::Memory(Mutex::new(Memory { max_bytes, ..Memory::default() }))
    }

    /// The answer under `key`.
    pub(crate) async fn find(&self, key: Key) -> Result<Option<LmResponse>, Fault> {
        match self {
            Self::Memory(memory) => {
                Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).answers.get(&key).cloned())
            }
            Self::File(file) => file.find(key).await,
        }
    }

    /// Writes an answer, and returns the one that is stored now: another process may have been first.
    pub(crate) async fn keep(&self, key: Key, answer: &LmResponse) -> Result<LmResponse, Fault> {
        match self {
            Self::Memory(memory) => {
                Ok(memory.lock().unwrap_or_else(PoisonError::into_inner).keep(key, answer))
            }
            Self::File(file) => file.keep(key, answer).await,
        }
    }
}

/// Answers in memory, oldest first.
#[derive(Default)]
pub(crate) struct Memory {
    answers: HashMap<Key, LmResponse>,
    order: VecDeque<Key>,
    bytes: u64,
    max_bytes: Option<u64>,
}

impl Memory {
    fn keep(&mut self, key: Key, answer: &LmResponse) -> LmResponse {
        if let Some(first) = self.answers.get(&key) {
            return first.clone();
        }
        self.bytes += answer.text.len() as u64 + OVERHEAD;
        self.answers.insert(key, answer.clone());
        self.order.push_back(key);
        while self.max_bytes.is_some_and(|most| self.bytes > most) {
            let Some(oldest) = self.order.pop_front() else { break };
            if let Some(dropped) = self.answers.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(dropped.text.len() as u64 + OVERHEAD);
            }
        }
        answer.clone()
    }
}
