//! timm's `pretrained_cfg`: how its evaluation makes the pixels of an image.

use serde_json::Value;

use super::found::{Asked, Options, list, number, numbers, text};

/// timm's default of `crop_pct`.
const CROP_PCT_DEFAULT: f64 = 0.875;

/// The part of a `config.json` that is timm's.
pub(super) fn pretrained_cfg(config: &Value) -> Option<&Value> {
    config.get("pretrained_cfg").filter(|cfg| cfg.is_object())
}

pub(super) fn options(cfg: &Value, asked: Asked) -> Result<Options, String> {
    let mut options = Vec::new();
    let size = cfg.get("input_size").and_then(numbers);
    let size = size.as_deref();
    let (height, width) = match size {
        Some([channels, height, width]) => {
            options.push(number("channels", *channels));
            options.push(text("size", &format!("{height}x{width}")));
            (*height, *width)
        }
        None => (0.0, 0.0),
        Some(_) => return Err("input_size is not of 3 numbers".to_owned()),
    };
    if asked.geometry {
        let crop_pct = cfg.get("crop_pct").and_then(Value::as_f64);
        let crop_pct = crop_pct.unwrap_or(CROP_PCT_DEFAULT);
        let mode = cfg
            .get("crop_mode")
            .and_then(Value::as_str)
            .unwrap_or("center");
        if crop_pct < 1.0 && height != width {
            return Err(format!("crop_pct of an input of {height}x{width} pixels"));
        }
        options.push(text(
            "resize",
            match mode {
                "center" => "crop",
                "squash" => "stretch",
                other => return Err(format!("crop_mode '{other}'")),
            },
        ));
        options.push(number("crop_fraction", crop_pct));
    }
    if asked.interpolation {
        let name = cfg.get("interpolation").and_then(Value::as_str);
        options.push(text(
            "interpolation",
            match name.unwrap_or("bicubic") {
                name @ ("bilinear" | "bicubic" | "nearest" | "lanczos") => name,
                other => return Err(format!("interpolation '{other}'")),
            },
        ));
    }
    for key in ["mean", "std"] {
        if let Some(values) = cfg.get(key).and_then(numbers) {
            options.push((key.to_owned(), list(values)));
        } else if asked.numbers {
            return Err(format!("it has no {key}"));
        }
    }
    Ok(options)
}
