//! What clients ask for when they log in.

use predictsql_proxy::wire::Capabilities;

/// Capabilities of a kind of client.
pub struct Set {
    pub name: &'static str,
    pub capabilities: Capabilities,
    /// Whether the session is in TLS, on either leg.
    pub tls: bool,
    /// Whether scripts that are long and do not depend on capabilities run with these.
    pub runs_long: bool,
}

const LONG_FLAG: Capabilities = Capabilities(0x4);
const ODBC: Capabilities = Capabilities(0x40);
const IGNORE_SPACE: Capabilities = Capabilities(0x100);
const INTERACTIVE: Capabilities = Capabilities(0x400);
const TRANSACTIONS: Capabilities = Capabilities(0x2000);
const PS_MULTI_RESULTS: Capabilities = Capabilities(0x4_0000);
const CONNECT_ATTRIBUTES: Capabilities = Capabilities(0x10_0000);
const EXPIRED_PASSWORDS: Capabilities = Capabilities(0x40_0000);

const fn all(parts: &[Capabilities]) -> Capabilities {
    let mut sum = Capabilities(0);
    let mut index = 0;
    while index < parts.len() {
        sum = sum.or(parts[index]);
        index += 1;
    }
    sum
}

/// MySQL 4.1: no plugins, one statement, one result.
const OLDEST: Capabilities = all(&[
    Capabilities::LONG_PASSWORD,
    LONG_FLAG,
    TRANSACTIONS,
    Capabilities::PROTOCOL_41,
    Capabilities::SECURE_CONNECTION,
]);

const MYSQL_5: Capabilities = all(&[
    OLDEST,
    Capabilities::PLUGIN_AUTH,
    Capabilities::MULTI_STATEMENTS,
    Capabilities::MULTI_RESULTS,
    PS_MULTI_RESULTS,
    Capabilities::LOCAL_FILES,
]);

const MYSQL_8: Capabilities = all(&[
    MYSQL_5,
    CONNECT_ATTRIBUTES,
    Capabilities::PLUGIN_AUTH_LENENC_CLIENT_DATA,
    Capabilities::SESSION_TRACK,
    Capabilities::DEPRECATE_EOF,
    EXPIRED_PASSWORDS,
]);

/// Without LONG_PASSWORD, which says that extended bits follow.
const MARIADB: Capabilities = Capabilities(
    MYSQL_8.0 & !Capabilities::LONG_PASSWORD.0
        | Capabilities::MARIADB_EXTENDED_METADATA.0
        | Capabilities::MARIADB_BULK.0
        | Capabilities::MARIADB_PROGRESS.0,
);

/// Connectors of MariaDB that keep EOF packets, with all the customs that a client may have.
const MARIADB_EOF: Capabilities = Capabilities(
    MARIADB.0 & !Capabilities::DEPRECATE_EOF.0
        | Capabilities::MARIADB_BULK_UNIT_RESULTS.0
        | Capabilities::FOUND_ROWS.0
        | ODBC.0
        | IGNORE_SPACE.0
        | INTERACTIVE.0,
);

const fn set(name: &'static str, capabilities: Capabilities) -> Set {
    Set {
        name,
        capabilities,
        tls: false,
        runs_long: false,
    }
}

const fn with_long_scripts(set: Set) -> Set {
    Set {
        runs_long: true,
        ..set
    }
}

const fn in_tls(set: Set) -> Set {
    Set { tls: true, ..set }
}

pub const SETS: [Set; 6] = [
    set("MySQL 4.1", OLDEST),
    with_long_scripts(set("MySQL 5", MYSQL_5)),
    set("MySQL 8", MYSQL_8),
    in_tls(set("MySQL 8, TLS", MYSQL_8)),
    with_long_scripts(set("MariaDB", MARIADB)),
    set("MariaDB, EOF", MARIADB_EOF),
];
