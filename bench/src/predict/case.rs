//! The cases: a model, and the images that it is asked about.

use std::fs;
use std::path::{Path, PathBuf};

use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::pictures;
use predictsql_proxy::demo::zoo::{self, ZooModel};

use super::calibrate::{BATCHES, Steps};
use super::error::BenchError;
use super::job::Recipe;
use crate::photo;

/// The name of the case over photos.
pub const PHOTO: &str = "photo";
/// The cases over the zoo: its cheapest and its most accurate model that know all ten classes.
const OF_ZOO: [(&str, &str); 2] = [("cheapest", "apparel_nano"), ("best", "apparel_large")];
/// A round of the photo case takes so much longer: it has few images.
const PHOTO_ROUND_FACTOR: f64 = 2.0;

/// A model over its images.
#[derive(Debug)]
pub struct Case {
    /// Key in the result.
    pub name: String,
    kind: Kind,
}

#[derive(Debug)]
pub enum Kind {
    /// A model of the zoo over grey PNG files.
    Zoo(Box<ZooModel>),
    /// The photo model over the JPEG files in `medium`.
    Photo {
        /// See [`photo`].
        folder: PathBuf,
    },
}

/// Where the parts of cases lie.
pub struct Places<'p> {
    /// Folder of `zoo.json`.
    pub zoo: &'p Path,
    /// Folder of the photos.
    pub photos: &'p Path,
}

impl Case {
    /// All cases; that of the photos only where they have been made, with a word about it.
    ///
    /// # Errors
    /// The zoo cannot be read.
    pub fn all(places: &Places) -> Result<Vec<Self>, BenchError> {
        let mut cases = Vec::new();
        for (name, _) in OF_ZOO {
            cases.push(Self::named(name, places)?);
        }
        match Self::named(PHOTO, places) {
            Ok(case) => cases.push(case),
            Err(error) => println!("photo: not measured: {error}"),
        }
        Ok(cases)
    }

    /// The case of this name, or of a model of the zoo.
    ///
    /// # Errors
    /// There is none, or its files are missing.
    pub fn named(name: &str, places: &Places) -> Result<Self, BenchError> {
        if name == PHOTO {
            let folder = places.photos.to_owned();
            photo::files(&folder.join("medium"))?;
            fs::metadata(photo::model(&folder))?;
            return Ok(Self {
                name: name.to_owned(),
                kind: Kind::Photo { folder },
            });
        }
        let named = OF_ZOO.iter().find(|(case, _)| *case == name);
        let model = named.map_or(name, |(_, model)| model);
        let models = zoo::read(places.zoo)?;
        let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
        let side = dataset::SIDE;
        let wanted = |found: &ZooModel| {
            found.name == model && found.channels == 1 && found.size == (side, side)
        };
        match models.into_iter().find(wanted) {
            Some(model) => Ok(Self {
                name: name.to_owned(),
                kind: Kind::Zoo(Box::new(model)),
            }),
            None => Err(BenchError::Flag(format!(
                "--model {name}: there are cheapest, best, photo, {}",
                names.join(", ")
            ))),
        }
    }

    /// What runs.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The model's name in the catalog.
    pub fn model(&self) -> &str {
        match &self.kind {
            Kind::Zoo(model) => &model.name,
            Kind::Photo { .. } => photo::MODEL,
        }
    }

    /// The ONNX file.
    pub fn file(&self, zoo: &Path) -> PathBuf {
        match &self.kind {
            Kind::Zoo(model) => zoo.join(&model.file),
            Kind::Photo { folder } => photo::model(folder),
        }
    }

    /// The answer that SQL gives for a label of the model: none for a label that is no class.
    pub fn answer(&self, label: usize) -> Option<&str> {
        match &self.kind {
            Kind::Zoo(model) => {
                let name = model.labels.get(label);
                let name = name.filter(|name| model.other.as_ref() != Some(*name));
                name.map(String::as_str)
            }
            Kind::Photo { .. } => photo::CLASSES.get(label).copied(),
        }
    }

    /// A label that is a class: the second, or the first of a model without a second.
    pub fn watched_label(&self) -> usize {
        usize::from(self.answer(1).is_some())
    }

    /// How a loop makes inputs.
    pub fn recipe(&self) -> Recipe {
        let one = |values: &[f64]| values.first().copied().unwrap_or_default();
        match &self.kind {
            Kind::Zoo(model) => Recipe::Grey {
                size: model.size,
                mean: one(&model.mean),
                std: one(&model.std),
            },
            Kind::Photo { .. } => Recipe::Photo,
        }
    }

    /// Writes the images below the image root; their paths relative to it.
    ///
    /// # Errors
    /// Images cannot be read or written.
    pub fn write_images(
        &self,
        image_root: &Path,
        dataset: &Path,
    ) -> Result<Vec<String>, BenchError> {
        match &self.kind {
            Kind::Zoo(_) => {
                let test = Split::read(dataset, "t10k")?;
                pictures::write_all(image_root, "test", &test)?;
                let numbers = 1..=test.count();
                Ok(numbers
                    .map(|id| pictures::relative_path("test", id))
                    .collect())
            }
            Kind::Photo { folder } => {
                let target = image_root.join(PHOTO);
                fs::create_dir_all(&target)?;
                let mut paths = Vec::new();
                for file in photo::files(&folder.join("medium"))? {
                    let name = format!("{:05}.jpg", paths.len() + 1);
                    fs::copy(file, target.join(&name))?;
                    paths.push(format!("{PHOTO}/{name}"));
                }
                Ok(paths)
            }
        }
    }

    /// How many images runs have.
    pub fn steps(&self) -> Steps {
        match &self.kind {
            Kind::Zoo(_) => Steps {
                of_try: 256,
                of_round: 1000,
            },
            Kind::Photo { .. } => Steps {
                of_try: 32,
                of_round: 32,
            },
        }
    }

    /// Seconds of a round, of `seconds` asked for.
    pub fn round_seconds(&self, seconds: f64) -> f64 {
        match &self.kind {
            Kind::Zoo(_) => seconds,
            Kind::Photo { .. } => seconds * PHOTO_ROUND_FACTOR,
        }
    }

    /// The loop in Python, in the folder of the loops, and the batch sizes that it knows.
    pub fn python_loop(&self) -> (&'static str, &'static [usize]) {
        match &self.kind {
            Kind::Zoo(_) => ("bare_loop.py", &BATCHES),
            Kind::Photo { .. } => ("plain_loop.py", &[1]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_zoo_has_the_models_of_the_cases_and_photos_may_be_missing() {
        let (zoo, photos) = (Path::new("zoo"), Path::new("/nonexistent"));
        let places = Places { zoo, photos };
        let cases = Case::all(&places).unwrap();
        let models: Vec<_> = cases.iter().map(Case::model).collect();
        assert_eq!(models, OF_ZOO.map(|(_, model)| model));
        assert_eq!(cases[0].answer(0), Some("T-shirt/top"));
        let missing = Case::named(PHOTO, &places).unwrap_err().to_string();
        assert!(missing.contains("setup.sh bench"), "{missing}");
        let unknown = Case::named("x", &places).unwrap_err().to_string();
        assert!(unknown.contains("apparel_small"), "{unknown}");
    }
}
