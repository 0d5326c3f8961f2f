//! How many labels are the same, whichever way the photos were decoded.

use super::error::DecodeError;

/// The labels are numbers of files from 1 to this.
pub const LABELS: usize = 200;
/// Files whose numbers have the same remainder by this show the same photo.
const PHOTOS: usize = 20;

/// Of all photos.
#[derive(Debug, PartialEq)]
pub struct Agreement {
    /// Photos that were compared.
    pub images: usize,
    /// Those that resemble a crop of the same photo, both ways.
    pub same_photo: usize,
    /// Those that resemble the same crop most, both ways.
    pub same_crop: usize,
    /// Those of which exact decoding finds the photo that they are a crop of.
    pub right: usize,
}

/// Compares two lists of labels, of files in the order of their numbers from 1 on.
///
/// # Errors
/// The lists do not fit, or a photo has no answer.
pub fn compare(
    scaled: &[Option<String>],
    exact: &[Option<String>],
) -> Result<Agreement, DecodeError> {
    if scaled.len() != exact.len() || exact.is_empty() {
        return Err(DecodeError::Worthless(format!(
            "{} labels beside {}",
            scaled.len(),
            exact.len()
        )));
    }
    let mut agreement = Agreement {
        images: exact.len(),
        same_photo: 0,
        same_crop: 0,
        right: 0,
    };
    for (file, (scaled, exact)) in (1..).zip(scaled.iter().zip(exact)) {
        let (scaled, exact) = (number(file, scaled)?, number(file, exact)?);
        agreement.same_photo += usize::from(scaled % PHOTOS == exact % PHOTOS);
        agreement.same_crop += usize::from(scaled == exact);
        agreement.right += usize::from(exact % PHOTOS == file % PHOTOS);
    }
    Ok(agreement)
}

fn number(file: usize, label: &Option<String>) -> Result<usize, DecodeError> {
    let label = label.as_ref().and_then(|label| label.parse().ok());
    label.ok_or_else(|| DecodeError::Worthless(format!("photo {file} has no label")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn labels(numbers: [usize; 3]) -> Vec<Option<String>> {
        numbers.map(|number| Some(number.to_string())).to_vec()
    }

    #[test]
    fn crops_of_one_photo_are_the_same_photo() {
        let found = compare(&labels([1, 22, 4]), &labels([1, 42, 3])).unwrap();
        let expected = Agreement {
            images: 3,
            same_photo: 2,
            same_crop: 1,
            right: 3,
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn a_missing_answer_is_no_agreement() {
        assert!(compare(&[None], &[None]).is_err());
        assert!(compare(&[], &[]).is_err());
        assert!(compare(&labels([1, 2, 3])[..2], &labels([1, 2, 3])).is_err());
    }
}
