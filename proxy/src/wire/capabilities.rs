//! Capability flags of MySQL (32 bits) and MariaDB's extended capabilities (another 32 bits).

use mysql_common::constants::{CapabilityFlags, MariadbCapabilities};

/// Capabilities of a leg or of a session: low 32 bits as in MySQL, high 32 bits MariaDB's extended
/// ones.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(pub u64);

const fn mysql(flag: CapabilityFlags) -> Capabilities {
    Capabilities(flag.bits() as u64)
}

const fn mariadb(flag: MariadbCapabilities) -> Capabilities {
    Capabilities((flag.bits() as u64) << 32)
}

#[allow(missing_docs, reason = "the names are those of the protocol's manual")]
impl Capabilities {
    /// Set by MySQL; MariaDB clears it (and calls the bit CLIENT_MYSQL) to indicate extended
    /// capability bits.
    pub const LONG_PASSWORD: Self = mysql(CapabilityFlags::CLIENT_LONG_PASSWORD);
    pub const FOUND_ROWS: Self = mysql(CapabilityFlags::CLIENT_FOUND_ROWS);
    pub const CONNECT_WITH_DB: Self = mysql(CapabilityFlags::CLIENT_CONNECT_WITH_DB);
    pub const COMPRESS: Self = mysql(CapabilityFlags::CLIENT_COMPRESS);
    pub const LOCAL_FILES: Self = mysql(CapabilityFlags::CLIENT_LOCAL_FILES);
    pub const PROTOCOL_41: Self = mysql(CapabilityFlags::CLIENT_PROTOCOL_41);
    pub const SSL: Self = mysql(CapabilityFlags::CLIENT_SSL);
    pub const SECURE_CONNECTION: Self = mysql(CapabilityFlags::CLIENT_SECURE_CONNECTION);
    pub const MULTI_STATEMENTS: Self = mysql(CapabilityFlags::CLIENT_MULTI_STATEMENTS);
    pub const MULTI_RESULTS: Self = mysql(CapabilityFlags::CLIENT_MULTI_RESULTS);
    pub const PLUGIN_AUTH: Self = mysql(CapabilityFlags::CLIENT_PLUGIN_AUTH);
    pub const PLUGIN_AUTH_LENENC_CLIENT_DATA: Self =
        mysql(CapabilityFlags::CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA);
    pub const SESSION_TRACK: Self = mysql(CapabilityFlags::CLIENT_SESSION_TRACK);
    pub const DEPRECATE_EOF: Self = mysql(CapabilityFlags::CLIENT_DEPRECATE_EOF);
    pub const OPTIONAL_RESULTSET_METADATA: Self =
        mysql(CapabilityFlags::CLIENT_OPTIONAL_RESULTSET_METADATA);
    pub const ZSTD_COMPRESSION: Self = mysql(CapabilityFlags::CLIENT_ZSTD_COMPRESSION_ALGORITHM);
    pub const QUERY_ATTRIBUTES: Self = mysql(CapabilityFlags::CLIENT_QUERY_ATTRIBUTES);
    pub const PROGRESS_OBSOLETE: Self = mysql(CapabilityFlags::CLIENT_PROGRESS_OBSOLETE);
    pub const MARIADB_PROGRESS: Self = mariadb(MariadbCapabilities::MARIADB_CLIENT_PROGRESS);
    pub const MARIADB_BULK: Self =
        mariadb(MariadbCapabilities::MARIADB_CLIENT_STMT_BULK_OPERATIONS);
    pub const MARIADB_EXTENDED_METADATA: Self =
        mariadb(MariadbCapabilities::MARIADB_CLIENT_EXTENDED_METADATA);
    pub const MARIADB_CACHE_METADATA: Self =
        mariadb(MariadbCapabilities::MARIADB_CLIENT_CACHE_METADATA);
    pub const MARIADB_BULK_UNIT_RESULTS: Self =
        mariadb(MariadbCapabilities::MARIADB_CLIENT_BULK_UNIT_RESULTS);

    /// Capabilities that the relay supports. All others are cleared in the greeting and in the
    /// login: compression and query attributes hide or shift the statement, optional and cached
    /// metadata omit column definitions that the tracker counts, SSL is handled by the proxy, and
    /// the meaning of unknown extended bits is not known.
    pub const RELAYED: Self = Self(
        !(Self::COMPRESS.0
            | Self::ZSTD_COMPRESSION.0
            | Self::QUERY_ATTRIBUTES.0
            | Self::OPTIONAL_RESULTSET_METADATA.0
            | Self::SSL.0)
            & (0xffff_ffff
                | Self::MARIADB_PROGRESS.0
                | Self::MARIADB_BULK.0
                | Self::MARIADB_EXTENDED_METADATA.0
                | Self::MARIADB_BULK_UNIT_RESULTS.0),
    );
}

impl Capabilities {
    /// Whether every bit of `flags` is set.
    #[must_use]
    pub const fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// Intersection: the result of negotiation between two sides.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Union.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl std::fmt::Debug for Capabilities {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Capabilities({:#018x})", self.0)
    }
}
