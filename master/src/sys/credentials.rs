//! Who this process is.

/// The user whose rights this process has: the effective uid.
pub fn own_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective gid.
pub fn own_gid() -> u32 {
    rustix::process::getegid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn our_files_are_ours() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let metadata = file.as_file().metadata().unwrap();
        assert_eq!(metadata.uid(), super::own_uid());
        assert_eq!(metadata.gid(), super::own_gid());
    }
}
