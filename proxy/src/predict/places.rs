//! Where each input's answer comes from: it is known, or comes with that of an input like it.

use std::collections::HashMap;

use predictsql_executor::{Input, InputId};

use super::Answer;

/// The inputs of one piece, told apart by content.
#[derive(Debug, Default)]
pub struct Places {
    places: Vec<Place>,
    /// What a model has to look at: each content once.
    pub run: Vec<Input>,
    of_content: HashMap<InputId, usize>,
    /// Inputs that could be looked up, and were not found.
    pub missing: usize,
    known: usize,
}

#[derive(Debug)]
enum Place {
    Known(Answer),
    /// The answer to that input of `run`.
    Run(usize),
}

impl Places {
    /// Adds an input with its identity and, where it was found, its answer.
    pub fn add(&mut self, input: Input, id: Option<InputId>, known: Option<Answer>) {
        if matches!(input, Input::Null) {
            self.places.push(Place::Known(Answer::Null));
            return;
        }
        if let Some(answer) = known {
            self.known += 1;
            self.places.push(Place::Known(answer));
            return;
        }
        let like = id.and_then(|id| self.of_content.get(&id).copied());
        let place = like.unwrap_or_else(|| {
            self.run.push(input);
            let place = self.run.len() - 1;
            if let Some(id) = id {
                self.missing += 1;
                self.of_content.insert(id, place);
            }
            place
        });
        if like.is_some() {
            self.known += 1;
        }
        self.places.push(Place::Run(place));
    }

    /// Inputs that no model has to look at, NULLs aside.
    pub fn hits(&self) -> usize {
        self.known
    }

    /// One answer an input, given those to `run`.
    pub fn answers(self, run: &[Answer]) -> Vec<Answer> {
        let answers = self.places.into_iter().map(|place| match place {
            Place::Known(answer) => answer,
            Place::Run(place) => run.get(place).cloned().unwrap_or_default(),
        });
        answers.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_the_same_is_looked_at_once() {
        let input = |name: &'static str| Input::Location(name.as_bytes().into());
        let id = |n: u8| Some(InputId::from_bytes([n; 16]));
        let class = |code| Answer::Class {
            code,
            scores: Box::default(),
        };
        let mut places = Places::default();
        places.add(input("a"), id(1), Some(class(1)));
        places.add(input("b"), id(2), None);
        places.add(Input::Null, None, None);
        places.add(input("./b"), id(2), None);
        places.add(input("gone"), None, None);
        places.add(input("gone"), None, None);
        assert_eq!((places.hits(), places.missing, places.run.len()), (2, 1, 3));
        let unreadable = Answer::Unreadable("does not exist".to_owned());
        let run = [class(2), unreadable.clone(), unreadable.clone()];
        assert_eq!(
            places.answers(&run),
            [
                class(1),
                class(2),
                Answer::Null,
                class(2),
                unreadable.clone(),
                unreadable
            ]
        );
    }
}
