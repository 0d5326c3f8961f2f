//! Line charts as SVG: one line a strategy, two charts beside each other, and a legend above both.

use std::ops::Range;
use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;

/// Width and height of a chart in pixels; a file holds two.
const CHART: (u32, u32) = (460, 340);
/// Height of the legend above them.
const LEGEND: u32 = 26;

/// Colours that people with any colour vision tell apart (Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(150, 150, 150),
];

/// One chart.
#[derive(Debug, Clone)]
pub struct Chart {
    /// What stands above it.
    pub title: String,
    /// What the horizontal axis counts; its scale is logarithmic to base 2.
    pub x: String,
    /// What the vertical axis measures.
    pub y: String,
    /// Whether the vertical scale is logarithmic.
    pub logarithmic: bool,
    /// A line by its name.
    pub lines: Vec<(String, Vec<(f64, f64)>)>,
}

/// Draws two charts into one file.
///
/// # Errors
/// The file cannot be written, or there is nothing to draw.
pub fn draw(file: &Path, charts: &[Chart; 2]) -> Result<(), String> {
    let area = SVGBackend::new(file, (CHART.0 * 2, CHART.1 + LEGEND)).into_drawing_area();
    area.fill(&WHITE).map_err(|e| e.to_string())?;
    let (above, below) = area.split_vertically(LEGEND);
    let names: Vec<&str> = charts[0]
        .lines
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    legend(&above, &names)?;
    let (left, right) = below.split_horizontally(CHART.0);
    for (area, chart) in [left, right].iter().zip(charts) {
        chart.draw(area)?;
    }
    area.present().map_err(|e| e.to_string())
}

/// The style of a line by its place: the first is the one that is looked for.
fn style(place: usize) -> ShapeStyle {
    let colour = COLOURS.get(place % COLOURS.len()).copied().unwrap_or(BLACK);
    colour.stroke_width(if place == 0 { 3 } else { 2 })
}

fn legend(area: &DrawingArea<SVGBackend<'_>, Shift>, names: &[&str]) -> Result<(), String> {
    let step = CHART.0 * 2 / u32::try_from(names.len().max(1)).unwrap_or(1);
    let place = |n: u32| i32::try_from(n).unwrap_or(0);
    for (number, name) in (0_u32..).zip(names) {
        let (x, y) = (place(number * step + 12), place(LEGEND / 2 + 2));
        let line = PathElement::new([(x, y), (x + 18, y)], style(number as usize));
        area.draw(&line).map_err(|e| e.to_string())?;
        let text = Text::new((*name).to_owned(), (x + 23, y - 6), ("sans-serif", 12));
        area.draw(&text).map_err(|e| e.to_string())?;
    }
    Ok(())
}

impl Chart {
    /// Whether there is nothing to draw.
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|(_, points)| points.is_empty())
    }

    fn draw<'c>(&self, area: &DrawingArea<SVGBackend<'c>, Shift>) -> Result<(), String> {
        let x = self.range(|p| p.0).ok_or("no points to draw")?;
        let y = self.range(|p| p.1).ok_or("no points to draw")?;
        let mut builder = ChartBuilder::on(area);
        builder
            .caption(&self.title, ("sans-serif", 15))
            .margin(8)
            .x_label_area_size(34)
            .y_label_area_size(54);
        let x = (x.start.max(0.5)..x.end).log_scale().base(2.0);
        if self.logarithmic {
            // Whole decades, so that there are labels.
            let decade = |y: f64, round: fn(f64) -> f64| 10_f64.powf(round(y.max(1e-9).log10()));
            let y = decade(y.start, f64::floor)..decade(y.end, f64::ceil);
            let chart = builder.build_cartesian_2d(x, y.log_scale());
            self.lines_in(chart.map_err(|e| e.to_string())?)
        } else {
            let room = (y.end - y.start).max(1e-6) * 0.05;
            let chart = builder.build_cartesian_2d(x, y.start - room..y.end + room);
            self.lines_in(chart.map_err(|e| e.to_string())?)
        }
    }

    fn lines_in<'c, X, Y>(
        &self,
        mut chart: ChartContext<'c, SVGBackend<'c>, Cartesian2d<X, Y>>,
    ) -> Result<(), String>
    where
        X: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
        Y: Ranged<ValueType = f64> + plotters::coord::ranged1d::ValueFormatter<f64>,
    {
        let wrong = |e: &dyn std::fmt::Display| e.to_string();
        chart
            .configure_mesh()
            .x_desc(&self.x)
            .y_desc(&self.y)
            .x_label_formatter(&|x| format!("{x:.0}"))
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(|e| wrong(&e))?;
        // The first last, so that no other covers it.
        for (place, (_, points)) in self.lines.iter().enumerate().rev() {
            let line = LineSeries::new(points.iter().copied(), style(place)).point_size(2);
            chart.draw_series(line).map_err(|e| wrong(&e))?;
        }
        Ok(())
    }

    /// From the least to the greatest of a coordinate.
    fn range(&self, of: impl Fn(&(f64, f64)) -> f64) -> Option<Range<f64>> {
        let values = || self.lines.iter().flat_map(|(_, points)| points).map(&of);
        let low = values().min_by(f64::total_cmp)?;
        let high = values().max_by(f64::total_cmp)?;
        Some(low..if high > low { high } else { low + 1.0 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_holds_a_line_for_each_strategy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chart.svg");
        let chart = |logarithmic| Chart {
            title: "F1".to_owned(),
            x: "classes".to_owned(),
            y: "F1".to_owned(),
            logarithmic,
            lines: vec![
                ("optimal".to_owned(), vec![(1.0, 0.9), (80.0, 0.8)]),
                ("random".to_owned(), vec![(1.0, 0.7), (80.0, 0.5)]),
            ],
        };
        draw(&file, &[chart(false), chart(true)]).unwrap();
        let svg = std::fs::read_to_string(file).unwrap();
        assert_eq!(svg.matches("optimal").count(), 1);
        assert!(svg.matches("<polyline").count() >= 4);
        let empty = Chart {
            lines: Vec::new(),
            ..chart(false)
        };
        assert!(draw(&folder.path().join("e.svg"), &[empty, chart(true)]).is_err());
    }
}
