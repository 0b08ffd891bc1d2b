//! A picture of figures: groups of horizontal bars, as SVG, readable on light and dark pages.

use std::fmt::Write as _;

/// Bars that share a scale.
#[derive(Clone, Debug)]
pub struct Group {
    /// What is shown, with its unit.
    pub title: String,
    /// From top to bottom.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug)]
pub struct Bar {
    /// At its left.
    pub label: String,
    /// Its length.
    pub value: f64,
    /// What stands at its right.
    pub text: String,
    /// A line across it: what is wanted.
    pub mark: Option<f64>,
    /// Whether it is the one to look at.
    pub is_ours: bool,
}

const WIDTH: f64 = 860.0;
const LABELS: f64 = 330.0;
const TEXTS: f64 = 150.0;
const LINE: f64 = 20.0;
const THICKNESS: f64 = 12.0;
const TITLE: f64 = 34.0;
const MARGIN: f64 = 14.0;
/// A longer label would not fit beside its bar, in any usual font.
const LABEL_CHARACTERS_MAX: usize = 46;

/// The whole picture.
pub fn svg(title: &str, groups: &[Group]) -> String {
    let lines: usize = groups.iter().map(|group| group.bars.len()).sum();
    #[expect(clippy::cast_precision_loss, reason = "some tens of lines")]
    let height = MARGIN.mul_add(3.0, LINE * lines as f64 + TITLE * groups.len() as f64) + LINE;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    text(&mut out, (MARGIN, MARGIN + LINE / 2.0), "start", Some("15"), title);
    let mut top = MARGIN + LINE;
    for group in groups {
        top = draw(&mut out, group, top);
    }
    out.push_str("</svg>\n");
    out
}

/// Draws a group below `top`, and says where it ends.
fn draw(out: &mut String, group: &Group, top: f64) -> f64 {
    let longest = group.bars.iter().flat_map(|bar| [Some(bar.value), bar.mark]).flatten();
    let longest = longest.filter(|value| value.is_finite()).fold(0.0, f64::max);
    let room = WIDTH - LABELS - TEXTS - 2.0 * MARGIN;
    let length = |value: f64| if longest > 0.0 { value / longest * room } else { 0.0 };
    let left = MARGIN + LABELS;
    let mut y = top + TITLE;
    text(out, (MARGIN, y - LINE / 2.0), "start", Some("13"), &group.title);
    for bar in &group.bars {
        let middle = y + LINE / 2.0;
        text(out, (left - 8.0, middle + 4.0), "end", None, &cut(&bar.label));
        let (width, fill) = (length(bar.value), if bar.is_ours { "#2463a8" } else { "#a9b4c0" });
        let _ = writeln!(
            out,
            "<rect x=\"{left}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{THICKNESS}\" rx=\"2\" \
             fill=\"{fill}\"/>",
            middle - THICKNESS / 2.0,
            width.max(1.0)
        );
        let mut end = left + width;
        if let Some(mark) = bar.mark {
            let x = left + length(mark);
            let (above, below) = (middle - LINE / 2.0 + 1.0, middle + LINE / 2.0 - 1.0);
            let _ = writeln!(
                out,
                "<path d=\"M{x:.1} {above:.1}V{below:.1}\" stroke=\"#c0392b\" stroke-width=\"2\"/>"
            );
            end = end.max(x);
        }
        text(out, (end + 6.0, middle + 4.0), "start", None, &bar.text);
        y += LINE;
    }
    y
}

fn cut(label: &str) -> String {
    match label.char_indices().nth(LABEL_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &label[..end]),
        None => label.to_owned(),
    }
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, size: Option<&str>, text: &str) {
    let weight = size.map(|size| format!(" font-size=\"{size}\" font-weight=\"bold\""));
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"#1d2733\"{}>{}</text>",
        at.0,
        at.1,
        weight.unwrap_or_default(),
        text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_room_and_nothing_is_markup() {
        let bar = |label: &str, value, mark| Bar {
            label: label.to_owned(),
            value,
            text: format!("{value}"),
            mark,
            is_ours: mark.is_some(),
        };
        let bars = vec![bar("a < b", 1.0, None), bar("c", 2.0, Some(4.0))];
        let picture = svg("x & y", &[Group { title: "ratio".to_owned(), bars }]);
        assert!(picture.contains("x &amp; y") && picture.contains("a &lt; b"), "{picture}");
        // The mark is the longest of all: 352 wide; half of it, and a quarter.
        assert!(picture.contains("width=\"88.0\"") && picture.contains("width=\"176.0\""));
        assert!(picture.contains("<path d=\"M696.0 "), "{picture}");
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn a_label_is_cut_where_it_would_not_fit() {
        assert_eq!(cut("é"), "é");
        assert_eq!(cut(&"é".repeat(LABEL_CHARACTERS_MAX)), "é".repeat(LABEL_CHARACTERS_MAX));
        let longer = cut(&"é".repeat(LABEL_CHARACTERS_MAX + 1));
        assert_eq!(longer, "é".repeat(LABEL_CHARACTERS_MAX) + "…");
    }

    #[test]
    fn nothing_to_show_is_no_division_by_zero() {
        let bar = Bar {
            label: String::new(),
            value: 0.0,
            text: String::new(),
            mark: None,
            is_ours: false,
        };
        let picture = svg("", &[Group { title: String::new(), bars: vec![bar] }]);
        assert!(!picture.contains("NaN"), "{picture}");
    }
}
