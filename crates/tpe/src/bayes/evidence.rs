//! What has been seen: scores of points on rows.

use crate::error::Error;

/// One score: which point, on which row, and what it was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The index of the point.
    pub point: usize,
    /// The index of the row: scores on the same row share its ease.
    pub row: usize,
    /// The score.
    pub value: f64,
}

/// Points, and scores of them on a fixed number of rows.
///
/// The order of points and of scores carries no meaning; a point may have no score, or several on one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    n_rows: usize,
    points: Vec<Vec<usize>>,
    scores: Vec<Scored>,
}

impl Evidence {
    /// Nothing seen yet, on rows `0..n_rows`.
    pub fn new(n_rows: usize) -> Self {
        Self { n_rows, points: Vec::new(), scores: Vec::new() }
    }

    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// The points, in the order in which they were added.
    pub fn points(&self) -> &[Vec<usize>] {
        &self.points
    }

    /// The scores, in the order in which they were added.
    pub fn scores(&self) -> &[Scored] {
        &self.scores
    }

    /// The index of a point, if it has been added.
    pub fn find(&self, point: &[usize]) -> Option<usize> {
        self.points.iter().position(|known| known == point)
    }

    /// The index of a point, which is added if it is new.
    pub fn point(&mut self, point: &[usize]) -> usize {
        self.find(point).unwrap_or_else(|| {
            self.points.push(point.to_vec());
            self.points.len() - 1
        })
    }

    /// Adds the score of a point, by its index, on a row.
    ///
    /// # Errors
    ///
    /// [`Error::Observation`] for a value that is not finite, and for an index beyond the points or rows.
    pub fn push(&mut self, point: usize, row: usize, value: f64) -> Result<(), Error> {
        let wrong = |field, value, requirement| Err(Error::Observation { field, value, requirement });
        if !value.is_finite() {
            return wrong("value", value, "must be finite");
        }
        if point >= self.points.len() {
            return wrong("point", point as f64, "must be the index of a point");
        }
        if row >= self.n_rows {
            return wrong("row", row as f64, "must be below the number of rows");
        }
        self.scores.push(Scored { point, row, value });
        Ok(())
    }
}
