//! Opens files below allowed root folders only, regardless of `..`, symbolic links or races.
//!
//! The fast path is one `openat2(RESOLVE_BENEATH)` relative to the root: the kernel itself
//! prevents leaving it. If that fails (an absolute symbolic link that leads back inside, a file of
//! another root, a kernel or sandbox without `openat2`), the path is resolved first, and the
//! resolved path is opened below its root without following any symbolic link.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, openat};
use rustix::io::Errno;

use super::source::ReadError;
use crate::config::StartError;
use crate::identity::InputId;

/// Folders below which files may be read.
#[derive(Debug)]
pub(crate) struct Roots {
    roots: Vec<Root>,
    /// Whether relative paths start at the first of them; otherwise they are outside.
    takes_relative: bool,
}

#[derive(Debug)]
struct Root {
    /// Absolute path as configured, as users write it.
    given: PathBuf,
    /// With all symbolic links resolved.
    canonical: PathBuf,
    folder: OwnedFd,
}

impl Roots {
    /// Opens the folders, which must exist.
    pub(crate) fn open(paths: &[impl AsRef<Path>]) -> Result<Self, StartError> {
        let roots = paths.iter().map(|path| {
            let path = path.as_ref();
            Root::open(path).map_err(|source| StartError::Root {
                path: path.to_owned(),
                source,
            })
        });
        Ok(Self {
            roots: roots.collect::<Result<_, _>>()?,
            takes_relative: true,
        })
    }

    /// These folders as roots, as far as they are below roots of `self` now; the others are left
    /// out. Relative paths start at the first folder, `None` where they are outside.
    pub(super) fn bound<'p>(&self, folders: impl Iterator<Item = Option<&'p Path>>) -> Self {
        let opened = folders.map(|path| self.open_below(path?));
        let opened: Vec<Option<Root>> = opened.collect();
        Self {
            takes_relative: matches!(opened.first(), Some(Some(_))),
            roots: opened.into_iter().flatten().collect(),
        }
    }

    /// Whether an absolute path is a folder that is, or is below, a root.
    pub(super) fn holds_folder(&self, path: &Path) -> bool {
        self.open_below(path).is_some()
    }

    /// Opens a folder that is, or is below, a root. Of any other nothing is told.
    fn open_below(&self, path: &Path) -> Option<Root> {
        if !path.is_absolute() {
            return None;
        }
        let canonical = path.canonicalize().ok()?;
        let folder = self.roots.iter().find_map(|root| {
            let below = canonical.strip_prefix(&root.canonical).ok()?;
            root.open_folder(below).ok()
        })?;
        Some(Root {
            given: path.to_owned(),
            canonical,
            folder,
        })
    }

    /// Reads a whole regular file below a root. A relative path starts at the first root.
    pub(crate) fn read(&self, path: &Path, bytes_max: u64) -> Result<Bytes, ReadError> {
        let file = self.open_file(path)?;
        Ok(read_regular(file.as_fd(), bytes_max)?.0)
    }

    /// Like [`Roots::read`], with the identity of the content; none if the file changed during the
    /// read.
    pub(crate) fn read_identified(
        &self,
        path: &Path,
        bytes_max: u64,
    ) -> Result<(Bytes, Option<InputId>), ReadError> {
        let file = self.open_file(path)?;
        let (content, before) = read_regular(file.as_fd(), bytes_max)?;
        let path = self.absolute(path);
        let id = InputId::of_file(&path, &before);
        let after = fstat(&file).map_err(describe)?;
        Ok((
            content,
            id.filter(|_| id == InputId::of_file(&path, &after)),
        ))
    }

    /// The identity that [`Roots::read_identified`] would return, without reading the file.
    pub(crate) fn identify(&self, path: &Path) -> Result<Option<InputId>, ReadError> {
        let file = self.open_file(path)?;
        let stat = fstat(&file).map_err(describe)?;
        Ok(InputId::of_file(&self.absolute(path), &stat))
    }

    /// The root of relative paths.
    fn first(&self) -> Option<&Root> {
        self.roots.first().filter(|_| self.takes_relative)
    }

    fn absolute<'a>(&self, path: &'a Path) -> Cow<'a, Path> {
        match self.first() {
            Some(root) if !path.is_absolute() => Cow::Owned(root.canonical.join(path)),
            _ => Cow::Borrowed(path),
        }
    }

    fn open_file(&self, path: &Path) -> Result<OwnedFd, ReadError> {
        let Some((root, below)) = self.locate(path) else {
            // It may be another name of a file below a root, through a symbolic link.
            let other_name = path.is_absolute() && !self.roots.is_empty();
            return if other_name {
                self.open_resolved(path)
            } else {
                Err(ReadError::Outside)
            };
        };
        match root.open_beneath(below) {
            Ok(file) => Ok(file),
            // XDEV: the path leaves the root, possibly into this or another root again. The
            // others: openat2 is missing, forbidden by a sandbox, or lost a race.
            Err(Errno::XDEV | Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::AGAIN) => {
                self.open_resolved(&root.canonical.join(below))
            }
            Err(error) => Err(describe(error)),
        }
    }

    /// The root whose path is a textual prefix of `path`, and the rest of the path.
    fn locate<'a>(&self, path: &'a Path) -> Option<(&Root, &'a Path)> {
        if !path.is_absolute() {
            return self.first().map(|root| (root, path));
        }
        self.roots.iter().find_map(|root| {
            let below = path
                .strip_prefix(&root.given)
                .or_else(|_| path.strip_prefix(&root.canonical));
            let below = below.ok()?;
            Some((
                root,
                if below.as_os_str().is_empty() {
                    Path::new(".")
                } else {
                    below
                },
            ))
        })
    }

    /// Opens an absolute path after resolving it, if the result is below a root.
    fn open_resolved(&self, path: &Path) -> Result<OwnedFd, ReadError> {
        // Any failure is "outside": the error for a path outside the roots must not reveal whether
        // a file exists there.
        let resolved = path.canonicalize().map_err(|_| ReadError::Outside)?;
        let (root, below) = self
            .roots
            .iter()
            .find_map(|root| Some((root, resolved.strip_prefix(&root.canonical).ok()?)))
            .ok_or(ReadError::Outside)?;
        root.open_plain(below).map_err(describe)
    }
}

impl Root {
    fn open(path: &Path) -> io::Result<Self> {
        let given = std::path::absolute(path)?;
        let canonical = path.canonicalize()?;
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let folder = rustix::fs::open(&canonical, flags, Mode::empty())?;
        Ok(Self {
            given,
            canonical,
            folder,
        })
    }

    #[cfg(target_os = "linux")]
    fn open_beneath(&self, below: &Path) -> Result<OwnedFd, Errno> {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.folder, below, file_flags(), Mode::empty(), resolve)
    }

    #[cfg(not(target_os = "linux"))]
    fn open_beneath(&self, _below: &Path) -> Result<OwnedFd, Errno> {
        Err(Errno::NOSYS)
    }

    /// Opens the folder at a resolved path. A symbolic link on it is rejected, as by
    /// [`Root::open_plain`].
    fn open_folder(&self, below: &Path) -> Result<OwnedFd, Errno> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let mut folder = openat(&self.folder, ".", flags, Mode::empty())?;
        for component in below.components() {
            let Component::Normal(name) = component else {
                return Err(Errno::LOOP);
            };
            folder = openat(&folder, name, flags, Mode::empty())?;
        }
        Ok(folder)
    }

    /// Opens a resolved path one component at a time. A symbolic link on it was created after the
    /// path was resolved, and is rejected.
    fn open_plain(&self, below: &Path) -> Result<OwnedFd, Errno> {
        let mut components = below.components().peekable();
        let mut folder: Option<OwnedFd> = None;
        while let Some(component) = components.next() {
            let Component::Normal(name) = component else {
                return Err(Errno::LOOP);
            };
            let at = folder.as_ref().map_or(self.folder.as_fd(), AsFd::as_fd);
            if components.peek().is_none() {
                return openat(at, name, file_flags() | OFlags::NOFOLLOW, Mode::empty());
            }
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
            folder = Some(openat(at, name, flags, Mode::empty())?);
        }
        Err(Errno::ISDIR)
    }
}

/// NONBLOCK, so that opening a FIFO does not wait for a writer.
fn file_flags() -> OFlags {
    OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY
}

/// Reads as many bytes as `fstat` returned; bytes appended later are not read. Also returns the
/// result of `fstat`.
fn read_regular(file: BorrowedFd<'_>, bytes_max: u64) -> Result<(Bytes, Stat), ReadError> {
    let stat = fstat(file).map_err(describe)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ReadError::Other("is not a regular file".to_string()));
    }
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    if bytes > bytes_max {
        return Err(ReadError::TooLarge { bytes });
    }
    let size = usize::try_from(bytes).map_err(|_| ReadError::TooLarge { bytes })?;
    if size == 0 {
        return Err(ReadError::Other("is an empty file".to_string()));
    }
    let mut content = Vec::with_capacity(size);
    while content.len() < size {
        match rustix::io::read(file, rustix::buffer::spare_capacity(&mut content)) {
            Ok(0) => break,
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(describe(error)),
        }
    }
    Ok((Bytes::from(content), stat))
}

fn describe(error: Errno) -> ReadError {
    match error {
        Errno::NOENT | Errno::NOTDIR => ReadError::NotFound,
        Errno::ACCESS | Errno::PERM => {
            ReadError::Other("may not be read (permission denied)".into())
        }
        Errno::ISDIR => ReadError::Other("is not a regular file".into()),
        Errno::LOOP => ReadError::Other("goes through too many symbolic links".into()),
        Errno::NAMETOOLONG => ReadError::Other("has too long a path".into()),
        Errno::NXIO => ReadError::Other("is not a regular file".into()),
        Errno::MFILE | Errno::NFILE => {
            ReadError::Other("could not be opened (too many open files on the server)".into())
        }
        error => ReadError::Other(format!("could not be read ({error})")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::symlink;

    use super::*;

    struct Tree {
        _folder: tempfile::TempDir,
        base: PathBuf,
        roots: Roots,
    }

    /// `in/` and `also/` are roots, `out/` is not; `link` is a root given through a link to `in`.
    fn tree() -> Tree {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for name in ["in/sub", "also", "out"] {
            std::fs::create_dir_all(base.join(name)).unwrap();
        }
        std::fs::write(base.join("in/a.txt"), b"inside").unwrap();
        std::fs::write(base.join("in/sub/b.txt"), b"deeper").unwrap();
        std::fs::write(base.join("also/c.txt"), b"second").unwrap();
        std::fs::write(base.join("out/secret.txt"), b"secret").unwrap();
        symlink(base.join("in"), base.join("link")).unwrap();
        let roots = Roots::open(&[base.join("link"), base.join("also")]).unwrap();
        Tree {
            _folder: folder,
            base,
            roots,
        }
    }

    impl Tree {
        fn read(&self, path: impl AsRef<Path>) -> Result<Bytes, ReadError> {
            self.roots.read(path.as_ref(), 100)
        }

        fn fails(&self, path: impl AsRef<Path>, expected: ReadError) {
            assert_eq!(
                self.read(path.as_ref()),
                Err(expected),
                "{}",
                path.as_ref().display()
            );
        }
    }

    #[test]
    fn files_below_roots_are_read_by_every_name() {
        let tree = tree();
        assert_eq!(tree.read("a.txt").unwrap(), "inside");
        assert_eq!(tree.read("sub/../sub/b.txt").unwrap(), "deeper");
        assert_eq!(tree.read(tree.base.join("in/a.txt")).unwrap(), "inside");
        assert_eq!(tree.read(tree.base.join("link/a.txt")).unwrap(), "inside");
        assert_eq!(tree.read(tree.base.join("also/c.txt")).unwrap(), "second");
    }

    #[test]
    fn nothing_outside_is_read_or_told_of() {
        let tree = tree();
        symlink(tree.base.join("out"), tree.base.join("in/way-out")).unwrap();
        symlink("../out/secret.txt", tree.base.join("in/secret.txt")).unwrap();
        for path in [
            "../out/secret.txt",
            "../out/none.txt",
            "way-out/secret.txt",
            "way-out/none.txt",
            "secret.txt",
        ] {
            tree.fails(path, ReadError::Outside);
        }
        tree.fails(tree.base.join("out/secret.txt"), ReadError::Outside);
        tree.fails(tree.base.join("out/none.txt"), ReadError::Outside);
        tree.fails(tree.base.join("in/../out/secret.txt"), ReadError::Outside);
        tree.fails(tree.base.join("in-not/a.txt"), ReadError::Outside);
        tree.fails("/proc/self/root/etc/passwd", ReadError::Outside);
        let none = Roots::open(&[] as &[&Path]).unwrap();
        assert_eq!(none.read(Path::new("a.txt"), 100), Err(ReadError::Outside));
        assert_eq!(
            none.read(&tree.base.join("in/a.txt"), 100),
            Err(ReadError::Outside)
        );
    }

    #[test]
    fn links_that_lead_back_inside_are_followed() {
        let tree = tree();
        symlink(
            tree.base.join("in/a.txt"),
            tree.base.join("in/absolute.txt"),
        )
        .unwrap();
        symlink(
            tree.base.join("also/c.txt"),
            tree.base.join("in/other-root.txt"),
        )
        .unwrap();
        symlink("sub/b.txt", tree.base.join("in/relative.txt")).unwrap();
        symlink(tree.base.join("in"), tree.base.join("out/back")).unwrap();
        assert_eq!(tree.read("absolute.txt").unwrap(), "inside");
        assert_eq!(tree.read("other-root.txt").unwrap(), "second");
        assert_eq!(tree.read("relative.txt").unwrap(), "deeper");
        assert_eq!(
            tree.read(tree.base.join("out/back/a.txt")).unwrap(),
            "inside"
        );
    }

    #[test]
    fn what_is_no_plain_file_is_named() {
        let tree = tree();
        let fifo = tree.base.join("in/fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        std::fs::write(tree.base.join("in/empty"), b"").unwrap();
        std::fs::write(tree.base.join("in/large"), [0; 101]).unwrap();
        symlink("loop", tree.base.join("in/loop")).unwrap();
        tree.fails("fifo", ReadError::Other("is not a regular file".into()));
        tree.fails("sub", ReadError::Other("is not a regular file".into()));
        tree.fails(
            tree.base.join("in"),
            ReadError::Other("is not a regular file".into()),
        );
        tree.fails("empty", ReadError::Other("is an empty file".into()));
        tree.fails("large", ReadError::TooLarge { bytes: 101 });
        tree.fails(
            "loop",
            ReadError::Other("goes through too many symbolic links".into()),
        );
        tree.fails("none.txt", ReadError::NotFound);
        tree.fails("a.txt/b", ReadError::NotFound);
        tree.fails(
            "a".repeat(300),
            ReadError::Other("has too long a path".into()),
        );
    }

    #[test]
    fn resolved_paths_are_opened_without_following_links() {
        let tree = tree();
        let root = tree.roots.roots.first().unwrap();
        assert!(root.open_plain(Path::new("sub/b.txt")).is_ok());
        symlink("sub", tree.base.join("in/swapped")).unwrap();
        assert!(root.open_plain(Path::new("swapped/b.txt")).is_err());
        assert!(root.open_plain(Path::new("../out/secret.txt")).is_err());
    }

    #[test]
    fn bound_roots_are_below_roots_and_hold_their_own_files_only() {
        let tree = tree();
        let at = |name: &str| tree.base.join(name);
        for folder in ["in/sub-b", "in/other"] {
            std::fs::create_dir_all(at(folder)).unwrap();
        }
        std::fs::write(at("in/sub-b/b.txt"), b"alike").unwrap();
        std::fs::write(at("in/other/b.txt"), b"other").unwrap();
        symlink(at("in/other"), at("in/sub/way-out")).unwrap();
        symlink("../other/b.txt", at("in/sub/leads-out.txt")).unwrap();
        symlink("b.txt", at("in/sub/same.txt")).unwrap();
        symlink(at("out"), at("in/no-root")).unwrap();
        for (path, holds) in [
            ("in/sub", true),
            ("link/sub", true),
            ("also", true),
            ("out", false),
            ("in/no-root", false),
            ("in/../out", false),
            ("in/none", false),
            ("in/a.txt", false),
        ] {
            assert_eq!(tree.roots.holds_folder(&at(path)), holds, "{path}");
        }
        assert!(!tree.roots.holds_folder(Path::new("sub")));

        let (sub, also, out) = (at("link/sub"), at("also"), at("out"));
        let bound = tree.roots.bound([Some(&*sub), Some(&*also)].into_iter());
        let read = |bound: &Roots, path: &Path| bound.read(path, 100);
        for (path, content) in [
            (PathBuf::from("b.txt"), "deeper"),
            (PathBuf::from("same.txt"), "deeper"),
            (at("in/sub/b.txt"), "deeper"),
            (at("link/sub/b.txt"), "deeper"),
            (at("also/c.txt"), "second"),
        ] {
            assert_eq!(read(&bound, &path).unwrap(), content, "{}", path.display());
        }
        for path in [
            PathBuf::from("../a.txt"),
            PathBuf::from("../other/b.txt"),
            PathBuf::from("way-out/b.txt"),
            PathBuf::from("leads-out.txt"),
            at("in/a.txt"),
            at("in/other/b.txt"),
            at("in/sub/../other/b.txt"),
            at("in/sub-b/b.txt"),
            at("in/none.txt"),
            at("out/secret.txt"),
        ] {
            assert_eq!(read(&bound, &path), Err(ReadError::Outside), "{path:?}");
        }
        // Relative paths never start at another folder than the first.
        let gone = tree.roots.bound([Some(&*out), Some(&*sub)].into_iter());
        let relative = Path::new("b.txt");
        assert_eq!(read(&gone, relative), Err(ReadError::Outside));
        assert_eq!(read(&gone, &at("in/sub/b.txt")).unwrap(), "deeper");
        let none = tree.roots.bound([None, Some(&*out)].into_iter());
        assert_eq!(read(&none, relative), Err(ReadError::Outside));
        assert_eq!(read(&none, &at("out/secret.txt")), Err(ReadError::Outside));
    }

    #[test]
    fn a_missing_root_is_an_error_at_start() {
        let tree = tree();
        let error = Roots::open(&[tree.base.join("none")]).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(64))]

        /// Paths of any depth, up, down and through links, never open a file outside.
        #[test]
        fn no_path_leads_out(parts in proptest::collection::vec(
            proptest::sample::select(vec!["..", ".", "sub", "in", "out", "up", "also", "secret.txt", "a.txt"]),
            1..8,
        )) {
            let tree = tree();
            symlink("..", tree.base.join("in/up")).unwrap();
            let path: PathBuf = parts.iter().collect();
            for path in [path.clone(), tree.base.join("in").join(&path), tree.base.join(&path)] {
                if let Ok(content) = tree.read(&path) {
                    proptest::prop_assert!(content != "secret", "{}", path.display());
                }
            }
        }
    }
}
