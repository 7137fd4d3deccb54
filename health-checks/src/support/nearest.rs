/// `; did you mean "path"?`, or nothing where no name is near.
pub(crate) fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(name, known), known));
    match near.min() {
        Some((distance, known)) if distance <= 1 + known.len() / 3 => format!("; did you mean \"{known}\"?"),
        _ => String::new(),
    }
}
