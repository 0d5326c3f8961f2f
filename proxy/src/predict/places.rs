//! Inputs that show the same are answered once.

use std::collections::HashMap;

use predictsql_executor::{Input, InputId};

use super::Answer;

/// The inputs of one piece, told apart by content.
#[derive(Debug, Default)]
pub struct Places {
    /// Of each input, NULLs aside, its content.
    places: Vec<Option<usize>>,
    contents: Vec<(Input, Option<InputId>)>,
    of_content: HashMap<InputId, usize>,
    repeated: usize,
}

impl Places {
    /// Adds an input with its identity, where it has one.
    pub fn add(&mut self, input: Input, id: Option<InputId>) {
        if matches!(input, Input::Null) {
            self.places.push(None);
            return;
        }
        if let Some(place) = id.and_then(|id| self.of_content.get(&id)) {
            self.repeated += 1;
            self.places.push(Some(*place));
            return;
        }
        let place = self.contents.len();
        self.contents.push((input, id));
        if let Some(id) = id {
            self.of_content.insert(id, place);
        }
        self.places.push(Some(place));
    }

    /// Each content once, with its identity.
    pub fn take_contents(&mut self) -> Vec<(Input, Option<InputId>)> {
        std::mem::take(&mut self.contents)
    }

    /// Inputs like one before them.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// One answer an input, given those to the contents.
    pub fn answers(self, of_contents: &[Answer]) -> Vec<Answer> {
        let answer = |place: Option<usize>| {
            let answer = place.and_then(|place| of_contents.get(place));
            answer.cloned().unwrap_or_default()
        };
        self.places.into_iter().map(answer).collect()
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
        places.add(input("b"), id(2));
        places.add(Input::Null, None);
        places.add(input("./b"), id(2));
        places.add(input("gone"), None);
        places.add(input("gone"), None);
        let contents = places.take_contents();
        assert_eq!((contents.len(), places.repeated()), (3, 1));
        let unreadable = Answer::Unreadable("does not exist".to_owned());
        let answers = [class(2), unreadable.clone(), unreadable.clone()];
        assert_eq!(
            places.answers(&answers),
            [
                class(2),
                Answer::Null,
                class(2),
                unreadable.clone(),
                unreadable
            ]
        );
    }
}
