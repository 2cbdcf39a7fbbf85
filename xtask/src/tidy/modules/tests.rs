//! Reading `mod` lines.

use super::*;

#[test]
fn finds_module_lines_and_nothing_else() {
    let text = "mod a;\npub mod b;\npub(crate) mod c;\n#[cfg(test)]\nmod tests;\n\
                #[path = \"shared/d.rs\"]\nmod d;\nmod inline {\n}\n// mod gone;\nlet modulus = 3;\n";
    assert_eq!(
        declared(text),
        [
            Declared::Named("a"),
            Declared::Named("b"),
            Declared::Named("c"),
            Declared::Named("tests"),
            Declared::At("shared/d.rs")
        ]
    );
}

#[test]
fn a_file_that_no_module_names_is_not_reached() {
    let source = |name: &str, text: &str| Source { path: name.into(), name: name.into(), text: text.into() };
    let sources = [
        source("src/lib.rs", "mod a;"),
        source("src/a.rs", "mod b;"),
        source("src/a/b.rs", ""),
        source("src/c.rs", ""),
    ];
    let files = sources.iter().map(|source| (source.path.as_path(), source)).collect();
    let mut reached = BTreeSet::new();
    reach(Path::new("src/lib.rs"), Role::Root, &files, &mut reached);
    assert!(reached.contains(Path::new("src/a/b.rs")));
    assert!(!reached.contains(Path::new("src/c.rs")));
}
