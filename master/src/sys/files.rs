//! Files by path, with the care that shared folders need: no symlink is followed, and nothing
//! is removed or replaced that is not what it was taken for.

use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// What tells one file from every other, its path aside. Only as long as the file exists or
/// is held open: numbers of removed files are given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The device's number.
    pub device: u64,
    /// The inode's number on that device.
    pub inode: u64,
}

/// What is at a path, a symlink not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    Regular,
    /// A folder.
    Directory,
    /// A unix socket, live or dead.
    Socket,
    /// A symlink, to whatever.
    Symlink,
    /// A device or a named pipe.
    Other,
}

impl FileKind {
    /// With its article, for messages: `a folder`.
    pub fn text(self) -> &'static str {
        match self {
            Self::Regular => "a plain file",
            Self::Directory => "a folder",
            Self::Socket => "a socket",
            Self::Symlink => "a symlink",
            Self::Other => "a device or a named pipe",
        }
    }
}

/// What is at a path and which file it is; nothing if there is none.
///
/// # Errors
/// Those of lstat(2), other than `ENOENT`.
pub fn look(path: &Path) -> io::Result<Option<(FileKind, Identity)>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some((kind(&metadata), identity(&metadata)))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn identity(metadata: &Metadata) -> Identity {
    Identity { device: metadata.dev(), inode: metadata.ino() }
}

fn kind(metadata: &Metadata) -> FileKind {
    let kind = metadata.file_type();
    if kind.is_file() {
        FileKind::Regular
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_socket() {
        FileKind::Socket
    } else if kind.is_symlink() {
        FileKind::Symlink
    } else {
        FileKind::Other
    }
}

/// Opens a plain file for reading and writing, made with `mode` if it is missing.
///
/// # Errors
/// Those of open(2); `ELOOP`: a symlink is there; `EINVAL`: it is no plain file.
pub fn open_or_create(path: &Path, mode: u32) -> io::Result<File> {
    let open = |create| {
        // Non-blocking: opening a pipe or a device that is there by mistake must not hang.
        let file = File::options()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(mode)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY)
            .open(path)?;
        plain(file)
    };
    // In a shared folder Linux may refuse O_CREAT on a file of another user, even to root.
    match open(false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => open(true),
        other => other,
    }
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.file_type().is_file() {
        Ok(file)
    } else {
        Err(io::Error::from_raw_os_error(libc::EINVAL))
    }
}

/// The start of a plain file, `bytes_max` at most.
///
/// # Errors
/// Those of open(2) and read(2); `ELOOP`: a symlink is there; `EINVAL`: it is no plain file.
pub fn read_plain(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = plain(File::options().read(true).custom_flags(flags).open(path)?)?;
    let mut content = Vec::new();
    file.take(u64::try_from(bytes_max).unwrap_or(u64::MAX)).read_to_end(&mut content)?;
    Ok(content)
}

/// The uid of whoever owns what is at `path`, a symlink not followed.
///
/// # Errors
/// Those of lstat(2).
pub fn owner(path: &Path) -> io::Result<u32> {
    Ok(path.symlink_metadata()?.uid())
}

/// Whose a file is, and who may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions {
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// The permission bits, `S_ISVTX` included.
    pub mode: u32,
}

/// The permissions of what is at `path`, symlinks followed.
///
/// # Errors
/// Those of stat(2).
pub fn permissions(path: &Path) -> io::Result<Permissions> {
    path.metadata().map(|metadata| permissions_of(&metadata))
}

fn permissions_of(metadata: &Metadata) -> Permissions {
    Permissions { uid: metadata.uid(), gid: metadata.gid(), mode: metadata.mode() & 0o7777 }
}

/// Gives the very file `identity` at `path` another mode and, if there is one, another group;
/// a symlink is not followed. At no moment may anybody do more than before or after.
///
/// # Errors
/// Those of open(2), chown(2) and chmod(2); `ENOENT`: another file is there.
pub fn set_access(path: &Path, identity: Identity, gid: Option<u32>, mode: u32) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    let metadata = file.metadata()?;
    if self::identity(&metadata) != identity {
        return Err(io::Error::from_raw_os_error(libc::ENOENT));
    }
    let now = permissions_of(&metadata);
    if now.mode == mode && gid.is_none_or(|gid| gid == now.gid) {
        return Ok(());
    }
    // A descriptor that was opened for its path alone takes no fchmod(2), its path does.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let set_mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    set_mode(now.mode & mode)?;
    if gid.is_some_and(|gid| gid != now.gid) {
        set_mode(now.mode & mode & !0o070)?;
        std::os::unix::fs::chown(&path, None, gid)?;
    }
    set_mode(mode)
}

/// Takes the exclusive lock of an open file without waiting; it ends with the last descriptor
/// of that open file. Says whether the lock was free.
///
/// # Errors
/// Those of flock(2).
pub fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Writes a new file beside `path` and puts it in that place, whatever was there: readers see
/// the old content or the whole new one. A symlink at `path` is replaced, never followed.
///
/// # Errors
/// Those of open(2), write(2) and rename(2); nothing is left beside then.
pub fn write_beside_and_rename(path: &Path, content: &[u8], mode: u32) -> io::Result<Identity> {
    let beside = beside(path)?;
    let written = write_new(&beside, content, mode)
        .and_then(|identity| std::fs::rename(&beside, path).map(|()| identity));
    if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists) {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or_else(|| io::Error::from_raw_os_error(libc::EISDIR))?;
    let mut beside = OsString::from(".");
    beside.push(name);
    beside.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(beside))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<Identity> {
    let mut file = File::options().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    Ok(identity(&file.metadata()?))
}

/// Removes what is at `path` if it still is that very file, and says whether it was.
///
/// Between the look and the removal someone else may put another file there; locks and the
/// sticky bit of shared folders are what keeps them from it.
///
/// # Errors
/// Those of lstat(2) and unlink(2); nothing at `path` is no error.
pub fn unlink_if_same(path: &Path, identity: Identity) -> io::Result<bool> {
    match look(path)? {
        Some((_, found)) if found == identity => std::fs::remove_file(path).map(|()| true),
        _ => Ok(false),
    }
}

/// Whether this process may execute what is at `path`, symlinks followed. A folder counts too.
///
/// # Errors
/// Those of faccessat(2), other than `EACCES`.
pub fn may_execute(path: &Path) -> io::Result<bool> {
    match rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Ok(true),
        Err(Errno::ACCESS) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens a folder, symlinks followed, only to be entered or to reach what is in it.
///
/// # Errors
/// Those of open(2); `EACCES`: this process may not enter it.
pub fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)?;
    Ok(folder)
}

/// Sets the permissions of a folder, a symlink not followed.
///
/// # Errors
/// Those of open(2) and fchmod(2).
pub fn set_folder_mode(path: &Path, mode: u32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(path, flags, Mode::empty())?;
    Ok(rustix::fs::fchmod(&folder, Mode::from_raw_mode(mode))?)
}

/// Whether a descriptor is that of a folder.
///
/// # Errors
/// Those of fstat(2).
pub fn is_folder(descriptor: BorrowedFd<'_>) -> io::Result<bool> {
    let mode = rustix::fs::fstat(descriptor)?.st_mode;
    Ok(rustix::fs::FileType::from_raw_mode(mode).is_dir())
}

/// Whether `path` is a plain file that this process may execute, symlinks followed; whatever
/// keeps it from being looked at is a no.
pub fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.is_file()) && may_execute(path).unwrap_or(false)
}

/// Whether files can be made in the folder `path`.
pub fn is_writable_folder(path: &Path) -> bool {
    let wanted = Access::WRITE_OK | Access::EXEC_OK;
    path.is_dir() && rustix::fs::accessat(CWD, path, wanted, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sys::own_process::alone;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn kinds_are_told_apart_and_symlinks_not_followed() {
        let folder = folder();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let link = folder.path().join("link");
        symlink(&file, &link).unwrap();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let kind = |path: &Path| look(path).unwrap().map(|(kind, _)| kind);
        assert_eq!(kind(&file), Some(FileKind::Regular));
        assert_eq!(kind(&link), Some(FileKind::Symlink));
        assert_eq!(kind(&socket), Some(FileKind::Socket));
        assert_eq!(kind(folder.path()), Some(FileKind::Directory));
        assert_eq!(kind(Path::new("/dev/null")), Some(FileKind::Other));
        assert_eq!(kind(&folder.path().join("none")), None);
    }

    #[test]
    fn access_is_given_to_that_very_file_alone() {
        let folder = folder();
        let path = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let (_, identity) = look(&path).unwrap().unwrap();
        for mode in [0o600, 0o660, 0o666, 0o600] {
            set_access(&path, identity, None, mode).unwrap();
            assert_eq!(permissions(&path).unwrap().mode, mode);
        }
        let link = folder.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(set_access(&link, identity, None, 0o666).is_err());
        let other = folder.path().join("other");
        std::fs::write(&other, "").unwrap();
        assert!(set_access(&other, identity, None, 0o666).is_err());
        assert_eq!(permissions(&path).unwrap().mode, 0o600);
    }

    #[test]
    fn a_lock_is_held_by_one_open_file() {
        alone!();
        let folder = folder();
        let path = folder.path().join("lock");
        let first = open_or_create(&path, 0o600).unwrap();
        let second = open_or_create(&path, 0o600).unwrap();
        assert!(try_lock(&first).unwrap());
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }

    #[test]
    fn only_plain_files_are_opened() {
        let folder = folder();
        let target = folder.path().join("target");
        let link = folder.path().join("link");
        symlink(&target, &link).unwrap();
        let errno = |path: &Path| open_or_create(path, 0o600).unwrap_err().raw_os_error();
        assert_eq!(errno(&link), Some(libc::ELOOP));
        assert!(!target.exists());
        assert_eq!(errno(Path::new("/dev/null")), Some(libc::EINVAL));
        assert_eq!(errno(folder.path()), Some(libc::EISDIR));
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_symlink_itself() {
        let folder = folder();
        let target = folder.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let path = folder.path().join("pid");
        symlink(&target, &path).unwrap();
        let identity = write_beside_and_rename(&path, b"12\n", 0o644).unwrap();
        assert_eq!(look(&path).unwrap(), Some((FileKind::Regular, identity)));
        assert_eq!(std::fs::read(&path).unwrap(), b"12\n");
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
        assert_eq!(folder.path().read_dir().unwrap().count(), 2);
    }

    #[test]
    fn what_was_planted_beside_is_neither_followed_nor_written_to() {
        let folder = folder();
        let target = folder.path().join("target");
        std::fs::write(&target, "precious").unwrap();
        let path = folder.path().join("pid");
        let planted = beside(&path).unwrap();
        symlink(&target, &planted).unwrap();
        let error = write_beside_and_rename(&path, b"12\n", 0o644).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
        assert!(!path.exists() && planted.is_symlink());
    }

    #[test]
    fn nothing_is_left_beside_after_a_failure() {
        let folder = folder();
        let occupied = folder.path().join("occupied");
        std::fs::create_dir(&occupied).unwrap();
        assert!(write_beside_and_rename(&occupied, b"1", 0o644).is_err());
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
        assert!(write_beside_and_rename(Path::new("/"), b"1", 0o644).is_err());
        assert!(write_beside_and_rename(&folder.path().join("no/pid"), b"1", 0o644).is_err());
    }

    #[test]
    fn only_the_same_file_is_removed() {
        let folder = folder();
        let path = folder.path().join("file");
        let ours = write_beside_and_rename(&path, b"ours", 0o644).unwrap();
        let kept_open = File::open(&path).unwrap();
        let theirs = write_beside_and_rename(&path, b"theirs", 0o644).unwrap();
        assert!(!unlink_if_same(&path, ours).unwrap());
        assert!(path.exists());
        assert!(unlink_if_same(&path, theirs).unwrap());
        assert!(!path.exists());
        assert!(!unlink_if_same(&path, theirs).unwrap());
        drop(kept_open);
    }

    #[test]
    fn executable_means_a_plain_file_with_the_bit() {
        let folder = folder();
        let path = folder.path().join("program");
        std::fs::write(&path, "").unwrap();
        assert!(!is_executable(&path));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert!(is_executable(&path));
        assert!(!is_executable(folder.path()));
        assert!(!is_executable(&folder.path().join("none")));
        assert!(is_writable_folder(folder.path()));
        assert!(!is_writable_folder(&path));
    }
}
