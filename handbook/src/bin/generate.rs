//! Writes what is made: man pages, completions, the tables of `docs/`.

use std::{fs, io};

use einhorn_handbook::{made, project};

fn main() -> io::Result<()> {
    for file in made()? {
        let path = project().join(&file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, &file.text)?;
        println!("{}", file.path.display());
    }
    Ok(())
}
