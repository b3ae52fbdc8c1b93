//! Reading files of the service's own directories, where anything may have got.

use std::fs;
use std::io;
use std::path::Path;

/// The content of the plain file `path`, at most `largest` bytes of it: what would keep us waiting, as a FIFO, or take
/// all memory is refused with [`io::ErrorKind::InvalidData`].
pub fn read(path: &Path, largest: u64) -> io::Result<Vec<u8>> {
    let about = fs::metadata(path)?;
    let refused = |why| Err(io::Error::new(io::ErrorKind::InvalidData, why));
    match about.file_type() {
        kind if !kind.is_file() && !kind.is_dir() => refused("is no plain file"),
        _ if about.len() > largest => refused("is larger than any file of the service"),
        _ => fs::read(path),
    }
}
