//! How things are printed: tables for people, JSON for scripts.

use serde_json::{Map, Value, json};
use zbus::{OwnedVariant, Variant};

use sip_profiles::proxy::Values;
use sip_profiles::shorten::shortened;

/// Letters of a cell: one long name would push the other columns of all rows off the terminal.
const CELL: usize = 60;

/// A variant as JSON.
pub fn json_of(variant: &Variant<'_>) -> Value {
    match variant {
        Variant::Bool(flag) => json!(flag),
        Variant::U8(number) => json!(number),
        Variant::I16(number) => json!(number),
        Variant::U16(number) => json!(number),
        Variant::I32(number) => json!(number),
        Variant::U32(number) => json!(number),
        Variant::I64(number) => json!(number),
        Variant::U64(number) => json!(number),
        Variant::F64(number) => json!(number),
        Variant::Str(text) => json!(text.as_str()),
        Variant::ObjectPath(path) => json!(path.as_str()),
        Variant::Variant(inner) => json_of(inner),
        Variant::Array(array) => Value::Array(array.inner().iter().map(json_of).collect()),
        Variant::Structure(structure) => Value::Array(structure.fields().iter().map(json_of).collect()),
        Variant::Dict(dict) => dict
            .iter()
            .map(|(key, value)| {
                let key = json_of(key);
                (key.as_str().map(str::to_owned).unwrap_or_else(|| key.to_string()), json_of(value))
            })
            .collect::<Map<_, _>>()
            .into(),
        other => json!(other.to_string()),
    }
}

/// `a{sv}` as JSON, keys in order.
pub fn json_of_values(values: &Values) -> Value {
    values.iter().map(|(key, value)| (key.clone(), json_of(value))).collect::<Map<_, _>>().into()
}

/// `a{sv}` as lines `key  value`, keys in order.
pub fn lines(values: &Values) -> String {
    let mut keys: Vec<_> = values.keys().collect();
    keys.sort();
    let width = keys.iter().map(|key| key.len()).max().unwrap_or(0);
    keys.into_iter().map(|key| format!("  {key:width$}  {}\n", plain(&values[key]))).collect()
}

fn plain(value: &OwnedVariant) -> String {
    match json_of(value) {
        Value::String(text) => printable(&text),
        Value::Array(items) => {
            let items: Vec<_> = items
                .iter()
                .map(|item| item.as_str().map(printable).unwrap_or_else(|| item.to_string()))
                .collect();
            items.join(", ")
        }
        other => other.to_string(),
    }
}

/// Text of others as it may stand on a terminal: no control characters, one line.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

/// Rows as columns of equal width.
pub fn table(rows: &[Vec<String>]) -> String {
    let short = |row: &Vec<String>| row.iter().map(|cell| shortened(cell, CELL)).collect::<Vec<_>>();
    let rows: Vec<_> = rows.iter().map(short).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<_> = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.chars().count())))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_rows_not_padded() {
        let rows = vec![vec!["1".to_owned(), "ä".to_owned()], vec!["22".to_owned(), "bb".to_owned()]];
        assert_eq!(table(&rows), "1   ä\n22  bb\n");
    }

    #[test]
    fn a_long_cell_is_shortened() {
        let rows = vec![vec!["x".repeat(1024), "off".to_owned()]];
        assert_eq!(table(&rows).chars().count(), CELL + "  off\n".len());
    }

    #[test]
    fn a_value_becomes_its_json() {
        assert_eq!(json_of(&Variant::from(vec!["a", "b"])), json!(["a", "b"]));
        assert_eq!(json_of(&Variant::from(7i64)), json!(7));
        assert_eq!(printable("a\u{1b}[31mb\n"), "a [31mb ");
    }
}
