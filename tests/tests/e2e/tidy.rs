//! Dependency arrows, first lines, file lengths, paths named in documents.
