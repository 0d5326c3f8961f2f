//! Shape of a task's answers: its SQL type, its column in relations, its outcomes, and the codec
//! of kept outputs.
//!
//! All code that depends on the form of an answer, and not on the task's kind itself, matches on
//! [`AnswerShape`] without a wildcard. A further shape (several labels per input, boxes, a vector)
//! is a new variant, and the compiler reports all places that must handle it:
//!
//! | Place | Decides |
//! |---|---|
//! | this file | SQL type, relation column, outcomes, classes, codec |
//! | `TaskKind`, `Output`: `answer_shape` | which kinds and outputs have the shape |
//! | `options/` | which options the models have, and whether there is a prior |
//! | optimizer: `sql/calls.rs` | which calls a task has, and how the store describes them |
//! | optimizer: `stream/`, `planning/` | cells, conditions, and the outcomes told apart |
//! | optimizer: `materialise/` | a relation's rows, and how a statement looks an answer up |
//! | executor: `model/reader.rs`, `kept/` | how an output is read, and how it is kept |
//! | proxy: `lane/plans/`, `lane/statements/` | rows of a relation, and what is evaluated |

/// Form of one answer of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerShape {
    /// One of the task's classes, by its name.
    Label,
    /// A finite 64-bit number.
    Value,
}

/// The column of answers in a relation of keys and answers. It is never NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationColumn {
    /// Quoted name.
    pub name: &'static str,
    /// Type in a `CREATE TABLE`.
    pub sql_type: &'static str,
    /// Literal for an input without an answer. No answer equals it.
    pub none: &'static str,
}

/// Encoding of kept model outputs. The executor encodes and decodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputCodec {
    /// Probabilities as 32-bit floats, little-endian, one per label of the model.
    Probabilities {
        /// Number of labels.
        labels: usize,
    },
}

impl AnswerShape {
    /// Return type of a task's function.
    pub fn sql_type(self) -> &'static str {
        match self {
            Self::Label => "VARCHAR(255) CHARSET utf8mb4",
            Self::Value => "DOUBLE",
        }
    }

    /// The column of answers in a relation: a label is stored as its class's index plus one.
    pub fn relation_column(self) -> RelationColumn {
        match self {
            Self::Label => RelationColumn {
                name: "`ml c`",
                sql_type: "SMALLINT UNSIGNED",
                none: "0",
            },
            Self::Value => RelationColumn {
                name: "`ml v`",
                sql_type: "DOUBLE",
                // The least DOUBLE, which no model returns.
                none: "-1.7976931348623157e308",
            },
        }
    }

    /// Number of distinct answers of a task with `classes` classes, including NULL; `None` if
    /// unlimited.
    pub fn outcomes(self, classes: usize) -> Option<usize> {
        match self {
            Self::Label => Some(classes + 1),
            Self::Value => None,
        }
    }

    /// Whether tasks with this shape have classes, and their models have labels.
    pub fn has_classes(self) -> bool {
        match self {
            Self::Label => true,
            Self::Value => false,
        }
    }

    /// Codec of a kept output of a model with `labels` labels; `None` if outputs are not kept.
    pub fn output_codec(self, labels: usize) -> Option<OutputCodec> {
        match self {
            Self::Label => Some(OutputCodec::Probabilities { labels }),
            Self::Value => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Output, TaskKind};

    #[test]
    fn a_label_is_text_outside_and_a_code_in_relations() {
        let label = TaskKind::Classification.answer_shape();
        assert_eq!(label, AnswerShape::Label);
        assert_eq!(label.sql_type(), "VARCHAR(255) CHARSET utf8mb4");
        let column = RelationColumn {
            name: "`ml c`",
            sql_type: "SMALLINT UNSIGNED",
            none: "0",
        };
        assert_eq!(label.relation_column(), column);
        assert_eq!((label.has_classes(), label.outcomes(3)), (true, Some(4)));
        let codec = OutputCodec::Probabilities { labels: 2 };
        assert_eq!(label.output_codec(2), Some(codec));
    }

    #[test]
    fn a_value_is_a_number_everywhere_and_has_no_finite_outcomes() {
        let value = TaskKind::Regression.answer_shape();
        assert_eq!(value, AnswerShape::Value);
        let column = value.relation_column();
        assert_eq!((value.sql_type(), column.sql_type), ("DOUBLE", "DOUBLE"));
        assert_eq!(column.name, "`ml v`");
        assert_eq!(column.none.parse(), Ok(f64::MIN));
        assert_eq!((value.has_classes(), value.outcomes(0)), (false, None));
        assert_eq!(value.output_codec(0), None);
    }

    #[test]
    fn outputs_give_answers_of_one_shape() {
        assert_eq!(Output::Logits.answer_shape(), AnswerShape::Label);
        assert_eq!(Output::Softmax.answer_shape(), AnswerShape::Label);
        assert_eq!(Output::Value.answer_shape(), AnswerShape::Value);
    }
}
