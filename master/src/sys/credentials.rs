//! Who this process is, and the numbers of users and groups.

use std::io;

use nix::unistd::{Group, User};

/// The user whose rights this process has: the effective uid.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective gid.
pub fn own_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// The uid of the user with that name, if there is one.
///
/// # Errors
/// Those of getpwnam(3).
pub fn uid_of(name: &str) -> io::Result<Option<u32>> {
    Ok(User::from_name(name)?.map(|user| user.uid.as_raw()))
}

/// The gid of the group with that name, if there is one.
///
/// # Errors
/// Those of getgrnam(3).
pub fn gid_of(name: &str) -> io::Result<Option<u32>> {
    Ok(Group::from_name(name)?.map(|group| group.gid.as_raw()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn names_have_numbers() {
        assert_eq!(super::uid_of("root").unwrap(), Some(0));
        assert_eq!(super::gid_of("root").unwrap(), Some(0));
        assert_eq!(super::uid_of("no such user").unwrap(), None);
        assert_eq!(super::gid_of("no such group").unwrap(), None);
    }

    #[test]
    fn our_files_are_ours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        assert_eq!(metadata.uid(), super::own_uid());
        assert_eq!(metadata.gid(), super::own_gid());
    }
}
