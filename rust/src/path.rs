//! Where in a message we are: `GetListResponse.val_list[2].unit`.

use std::fmt;

#[derive(Clone, Copy)]
pub enum Step<'plan> {
    Name(&'plan str),
    Field(&'plan str),
    Index(usize),
}

/// A stack of steps. On failure it is left as it stands, so that the report can read it.
#[derive(Default)]
pub struct Path<'plan>(Vec<Step<'plan>>);

impl<'plan> Path<'plan> {
    #[inline]
    pub fn push(&mut self, step: Step<'plan>) {
        self.0.push(step);
    }

    #[inline]
    pub fn pop(&mut self) {
        self.0.pop();
    }

    /// Start again at `name`.
    pub fn reset(&mut self, name: Option<&'plan str>) {
        self.0.clear();
        self.0.extend(name.map(Step::Name));
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Name(name) => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
