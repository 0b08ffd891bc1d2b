//! Files without a name, for what the master hands to its next image.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{BorrowedFd, OwnedFd};

use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;

use super::clock;

/// A file in memory that holds `content`, sealed against any change. Its position is at the
/// start, for readers that just read.
///
/// # Errors
/// Those of `memfd_create(2)`, write(2) and fcntl(2).
pub fn with_content(name: &str, content: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(content)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Everything that a memory file, a plain file or a pipe holds: from the start and without
/// moving the position where there is one, until the end of file in a pipe. `patience` is how
/// long a pipe is waited for, all in all.
///
/// # Errors
/// Those of pread(2) and read(2); `EFBIG`: there is more than `bytes_max`; `ETIMEDOUT`: the
/// writer was waited for too long.
pub fn read_everything(
    descriptor: BorrowedFd<'_>,
    bytes_max: usize,
    patience: Duration,
) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let deadline = clock::now().monotonic.saturating_add(patience);
    loop {
        wait_until_readable(descriptor, deadline)?;
        let offset = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let read = match rustix::io::pread(descriptor, chunk.as_mut_slice(), offset) {
            Err(Errno::SPIPE) => rustix::io::read(descriptor, chunk.as_mut_slice()),
            other => other,
        };
        match read {
            Ok(0) => return Ok(content),
            Ok(count) => content.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error.into()),
        }
        if content.len() > bytes_max {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
    }
}

fn wait_until_readable(descriptor: BorrowedFd<'_>, deadline: Duration) -> io::Result<()> {
    loop {
        let left = deadline.saturating_sub(clock::now().monotonic);
        let limit = Timespec::try_from(left).ok();
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], limit.as_ref()) {
            Ok(0) => return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT)),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::descriptor;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn content_comes_back_any_number_of_times() {
        let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        let file = with_content("state", &content).unwrap();
        assert!(descriptor::is_close_on_exec(file.as_fd()).unwrap());
        for _ in 0..2 {
            assert_eq!(read_everything(file.as_fd(), content.len(), LONG).unwrap(), content);
        }
        let mut plainly = Vec::new();
        File::from(file).read_to_end(&mut plainly).unwrap();
        assert_eq!(plainly, content);
    }

    #[test]
    fn it_cannot_be_changed() {
        let file = with_content("state", b"as it is").unwrap();
        let seals = rustix::fs::fcntl_get_seals(&file).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::SEAL));
        let mut file = File::from(file);
        assert!(file.write_all(b"other").is_err());
        assert!(file.set_len(2).is_err());
        assert_eq!(read_everything(file.as_fd(), 100, LONG).unwrap(), b"as it is");
    }

    #[test]
    fn a_pipe_is_read_to_its_end_and_a_limit_holds() {
        let (reader, writer) = descriptor::pipe().unwrap();
        File::from(writer).write_all(b"from ruby").unwrap();
        assert_eq!(read_everything(reader.as_fd(), 9, LONG).unwrap(), b"from ruby");
        let file = with_content("state", b"123456").unwrap();
        assert!(read_everything(file.as_fd(), 6, LONG).is_ok());
        let error = read_everything(file.as_fd(), 5, LONG).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
    }

    #[test]
    fn a_writer_that_neither_writes_nor_closes_is_not_waited_for_without_end() {
        let (reader, writer) = descriptor::pipe().unwrap();
        let mut writer = File::from(writer);
        writer.write_all(b"half of it").unwrap();
        for blocking in [true, false] {
            descriptor::set_nonblocking(reader.as_fd(), !blocking).unwrap();
            let moment = Duration::from_millis(10);
            let error = read_everything(reader.as_fd(), 100, moment).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::ETIMEDOUT));
        }
    }
}
