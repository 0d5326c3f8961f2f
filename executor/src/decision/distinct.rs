//! Deduplication: inputs with equal contents are predicted once, also across concurrent pieces of
//! one caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::watch;

use super::answer::Answer;
use crate::identity::InputId;
use crate::input::Input;

/// Contents whose prediction is in progress in some piece.
#[derive(Debug, Default)]
pub struct UnderWay(Mutex<HashMap<InputId, watch::Receiver<Option<Answer>>>>);

impl UnderWay {
    /// Subscribes to the answer for a content if another piece is predicting it; otherwise
    /// registers the calling piece, which must then publish the answer.
    fn claim(
        &self,
        id: InputId,
    ) -> Result<watch::Receiver<Option<Answer>>, watch::Sender<Option<Answer>>> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = map.get(&id) {
            return Ok(answer.clone());
        }
        let (sender, answer) = watch::channel(None);
        map.insert(id, answer);
        Err(sender)
    }

    fn end(&self, id: InputId) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.remove(&id);
    }
}

/// The inputs of one piece, deduplicated by content.
#[derive(Debug, Default)]
pub struct DistinctInputs {
    places: Vec<Place>,
    contents: Vec<(Input, Option<InputId>)>,
    /// Contents this piece predicts, with the senders of their answers to other pieces.
    claimed: Vec<(usize, InputId, watch::Sender<Option<Answer>>)>,
    of_content: HashMap<InputId, usize>,
    repeated: usize,
}

#[derive(Debug)]
enum Place {
    Null,
    /// The answer for the content with this index.
    Content(usize),
    /// The answer from another piece.
    Elsewhere(watch::Receiver<Option<Answer>>),
}

impl DistinctInputs {
    /// Adds an input with its identity, if it has one.
    pub fn add(&mut self, under_way: &UnderWay, input: Input, id: Option<InputId>) {
        let place = match id {
            _ if matches!(input, Input::Null) => Place::Null,
            None => self.content(input, None),
            Some(id) => match self.of_content.get(&id) {
                Some(place) => {
                    self.repeated += 1;
                    Place::Content(*place)
                }
                None => self.claim(under_way, input, id),
            },
        };
        self.places.push(place);
    }

    fn claim(&mut self, under_way: &UnderWay, input: Input, id: InputId) -> Place {
        match under_way.claim(id) {
            Ok(answer) => {
                self.repeated += 1;
                Place::Elsewhere(answer)
            }
            Err(sender) => {
                let place = self.contents.len();
                self.claimed.push((place, id, sender));
                self.of_content.insert(id, place);
                self.content(input, Some(id))
            }
        }
    }

    fn content(&mut self, input: Input, id: Option<InputId>) -> Place {
        self.contents.push((input, id));
        Place::Content(self.contents.len() - 1)
    }

    /// Each content once, with its identity, without those that another piece predicts.
    pub fn take_contents(&mut self) -> Vec<(Input, Option<InputId>)> {
        std::mem::take(&mut self.contents)
    }

    /// Number of inputs equal to an earlier one.
    pub fn repeated(&self) -> usize {
        self.repeated
    }

    /// Returns one answer per input, given the answers for the contents, which are also sent to
    /// the waiting pieces. Waits for the answers of other pieces; `None` if they failed.
    pub async fn answers(
        self,
        under_way: &UnderWay,
        of_contents: &[Answer],
    ) -> Option<Vec<Answer>> {
        for (place, id, sender) in self.claimed {
            sender.send_replace(of_contents.get(place).cloned());
            under_way.end(id);
        }
        let mut answers = Vec::with_capacity(self.places.len());
        for place in self.places {
            answers.push(match place {
                Place::Null => Answer::Null,
                Place::Content(place) => of_contents.get(place).cloned().unwrap_or_default(),
                Place::Elsewhere(mut answer) => {
                    let said = answer.wait_for(Option::is_some).await.ok()?;
                    said.clone()?
                }
            });
        }
        Some(answers)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn input(name: &'static str) -> Input {
        Input::Location(name.as_bytes().into())
    }

    fn id(n: u8) -> Option<InputId> {
        Some(InputId::from_bytes([n; 16]))
    }

    fn class(code: usize) -> Answer {
        Answer::Class {
            code,
            scores: Box::default(),
        }
    }

    #[tokio::test]
    async fn what_looks_the_same_is_looked_at_once() {
        let under_way = UnderWay::default();
        let mut places = DistinctInputs::default();
        places.add(&under_way, input("b"), id(2));
        places.add(&under_way, Input::Null, None);
        places.add(&under_way, input("./b"), id(2));
        places.add(&under_way, input("gone"), None);
        places.add(&under_way, input("gone"), None);
        assert_eq!((places.take_contents().len(), places.repeated()), (3, 1));
        let gone = Answer::Unreadable("does not exist".to_owned());
        let said = [class(2), gone.clone(), gone.clone()];
        let answers = places.answers(&under_way, &said).await.unwrap();
        let expected = [class(2), Answer::Null, class(2), gone.clone(), gone];
        assert_eq!(answers, expected);
    }

    #[tokio::test]
    async fn pieces_share_what_is_under_way() {
        let under_way = UnderWay::default();
        let (mut first, mut second) = (DistinctInputs::default(), DistinctInputs::default());
        first.add(&under_way, input("a"), id(1));
        second.add(&under_way, input("b"), id(2));
        second.add(&under_way, input("a"), id(1));
        assert_eq!((second.take_contents().len(), second.repeated()), (1, 1));
        let (of_second, of_first) = ([class(2)], [class(1)]);
        let (one, two) = tokio::join!(
            second.answers(&under_way, &of_second),
            first.answers(&under_way, &of_first)
        );
        assert_eq!(one.unwrap(), [class(2), class(1)]);
        assert_eq!(two.unwrap(), [class(1)]);

        let (mut third, mut fourth) = (DistinctInputs::default(), DistinctInputs::default());
        third.add(&under_way, input("a"), id(1));
        fourth.add(&under_way, input("a"), id(1));
        assert_eq!((third.contents.len(), fourth.contents.len()), (1, 0));
        drop(third);
        assert_eq!(fourth.answers(&under_way, &[]).await, None);
    }
}
