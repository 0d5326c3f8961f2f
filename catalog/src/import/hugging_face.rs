//! `preprocessor_config.json` of Hugging Face's image processors.

use serde_json::Value;

use super::found::{Asked, Options, list, number, numbers, text};

/// Steps that options express, or that change nothing here.
const KNOWN_STEPS: [&str; 7] = [
    "do_resize",
    "do_center_crop",
    "do_rescale",
    "do_normalize",
    "do_flip_channel_order",
    "do_convert_rgb",
    "do_reduce_labels",
];

pub(super) fn options(config: &Value, asked: Asked) -> Result<Options, String> {
    let processor = Processor { config };
    if let Some(step) = processor.unknown_step() {
        return Err(format!("its step {step} has no option"));
    }
    let mut options = Vec::new();
    if asked.geometry {
        options.extend(processor.geometry()?);
    }
    if asked.interpolation {
        options.push(text("interpolation", processor.interpolation()?));
    }
    if asked.numbers {
        options.extend(processor.numbers()?);
    }
    let order = match processor.does("do_flip_channel_order", processor.is_of(&["MobileViT"])) {
        true => "BGR",
        false => "RGB",
    };
    options.push(text("channel_order", order));
    Ok(options)
}

struct Processor<'c> {
    config: &'c Value,
}

/// What `size` says.
enum Size {
    Exact(f64, f64),
    ShortestEdge(f64),
}

impl Processor<'_> {
    /// Whether its class begins with one of these names.
    fn is_of(&self, names: &[&str]) -> bool {
        let keys = ["image_processor_type", "feature_extractor_type"];
        let class = keys.iter().find_map(|key| self.config.get(key)?.as_str());
        class.is_some_and(|class| names.iter().any(|name| class.starts_with(name)))
    }

    fn does(&self, step: &str, default: bool) -> bool {
        self.config
            .get(step)
            .and_then(Value::as_bool)
            .unwrap_or(default)
    }

    fn number(&self, key: &str) -> Option<f64> {
        self.config.get(key).and_then(Value::as_f64)
    }

    fn unknown_step(&self) -> Option<&str> {
        let steps = self.config.as_object()?.iter();
        let mut unknown = steps.filter(|(key, value)| {
            let is_done = key.starts_with("do_") && **value == Value::Bool(true);
            is_done && !KNOWN_STEPS.contains(&key.as_str())
        });
        unknown.next().map(|(key, _)| key.as_str())
    }

    /// A size by its key. A number alone is a side of a square for most classes, and the shortest
    /// edge for some.
    fn size(&self, key: &str, square: bool) -> Result<Option<Size>, String> {
        let Some(size) = self.config.get(key).filter(|size| !size.is_null()) else {
            return Ok(None);
        };
        let side = |name: &str| size.get(name).and_then(Value::as_f64);
        let found = match (
            size.as_f64(),
            side("height"),
            side("width"),
            side("shortest_edge"),
        ) {
            (Some(side), ..) if square => Some(Size::Exact(side, side)),
            (Some(side), ..) => Some(Size::ShortestEdge(side)),
            (_, Some(height), Some(width), _) => Some(Size::Exact(height, width)),
            (.., Some(edge)) if size.get("longest_edge").is_none() => {
                Some(Size::ShortestEdge(edge))
            }
            _ => match numbers(size).as_deref() {
                Some([height, width]) => Some(Size::Exact(*height, *width)),
                _ => None,
            },
        };
        found.map(Some).ok_or_else(|| format!("{key} {size}"))
    }

    fn geometry(&self) -> Result<Options, String> {
        let by_edge = [
            "CLIP",
            "ChineseCLIP",
            "ConvNext",
            "Levit",
            "PoolFormer",
            "MobileNet",
            "MobileViT",
            "Bit",
            "EfficientFormer",
        ];
        let size = self.size("size", !self.is_of(&by_edge))?;
        let crop = self.size("crop_size", true)?;
        let crops = self.does("do_center_crop", crop.is_some());
        let crop = if crops { crop } else { None };
        if !self.does("do_resize", true) {
            return Err("it does not resize images (do_resize is false)".to_owned());
        }
        let size = size.ok_or("it has no size")?;
        if self.is_of(&["ConvNext"])
            && let Size::ShortestEdge(edge) = size
        {
            let crop_pct = self.number("crop_pct").unwrap_or(224.0 / 256.0);
            return Ok(match edge < 384.0 {
                true => way("crop", (edge, edge), crop_pct),
                false => way("stretch", (edge, edge), 1.0),
            });
        }
        let size = match size {
            Size::ShortestEdge(edge) if self.is_of(&["Levit"]) => {
                Size::ShortestEdge((edge * 256.0 / 224.0).floor())
            }
            Size::ShortestEdge(edge) if self.is_of(&["PoolFormer"]) => {
                Size::ShortestEdge((edge / self.number("crop_pct").unwrap_or(0.9)).floor())
            }
            size => size,
        };
        match (size, crop) {
            (Size::Exact(height, width), None) => Ok(way("stretch", (height, width), 1.0)),
            (Size::Exact(height, width), Some(Size::Exact(h, w))) if (height, width) == (h, w) => {
                Ok(way("stretch", (h, w), 1.0))
            }
            (Size::Exact(height, width), Some(Size::Exact(h, w)))
                if height == width && h == w && h < height =>
            {
                Ok(way("stretch", (h, w), h / height))
            }
            (Size::ShortestEdge(edge), Some(Size::Exact(h, w))) if h == w && h <= edge => {
                Ok(way("crop", (h, w), h / edge))
            }
            (Size::ShortestEdge(edge), None) => Err(format!(
                "the shortest edge becomes {edge} pixels and nothing is cropped, so that images keep \
                 different sizes"
            )),
            (Size::Exact(..) | Size::ShortestEdge(_), Some(_)) => {
                let of = |key: &str| self.config.get(key).unwrap_or(&Value::Null).to_string();
                Err(format!(
                    "size {} with crop_size {}",
                    of("size"),
                    of("crop_size")
                ))
            }
        }
    }

    /// The name of a filter of Pillow.
    fn interpolation(&self) -> Result<&'static str, String> {
        let bicubic = [
            "CLIP",
            "ChineseCLIP",
            "DeiT",
            "Bit",
            "Levit",
            "PoolFormer",
            "BlipImage",
        ];
        let default = match () {
            () if self.is_of(&bicubic) => 3,
            () if self.is_of(&["EfficientNet"]) => 0,
            () => 2,
        };
        let number = self.config.get("resample").filter(|value| !value.is_null());
        match number.map_or(Some(default), Value::as_u64) {
            Some(0) => Ok("nearest"),
            Some(1) => Ok("lanczos"),
            Some(2) => Ok("bilinear"),
            Some(3) => Ok("bicubic"),
            _ => Err(format!("resample {}", number.unwrap_or(&Value::Null))),
        }
    }

    fn numbers(&self) -> Result<Options, String> {
        let rescales = self.does("do_rescale", true);
        let factor = self.number("rescale_factor").unwrap_or(1.0 / 255.0);
        let mut options = vec![number("scale", if rescales { factor } else { 1.0 })];
        // `rescale_offset` subtracts 1 after scaling.
        let offset = f64::from(u8::from(rescales && self.does("rescale_offset", false)));
        let normalises = self.does("do_normalize", true);
        let values = |key: &str, plain: f64| match self.config.get(key).and_then(numbers) {
            _ if !normalises => Ok(vec![plain]),
            Some(values) => Ok(values),
            None => Err(format!("it normalises, and has no {key}")),
        };
        let mean = values("image_mean", 0.0)?
            .into_iter()
            .map(|mean| mean + offset);
        options.push(("mean".to_owned(), list(mean)));
        let std = values("image_std", 1.0)?;
        // With `include_top`, this class divides by the deviation twice.
        let is_twice =
            normalises && self.is_of(&["EfficientNet"]) && self.does("include_top", true);
        let power = if is_twice { 2 } else { 1 };
        let std = std.into_iter().map(|std| std.powi(power));
        options.push(("std".to_owned(), list(std)));
        Ok(options)
    }
}

fn way(resize: &str, (height, width): (f64, f64), crop_fraction: f64) -> Options {
    vec![
        text("size", &format!("{height}x{width}")),
        text("resize", resize),
        number("crop_fraction", crop_fraction),
    ]
}
