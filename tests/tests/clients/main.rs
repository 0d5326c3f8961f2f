//! Real clients, unchanged: each suite of `tests/clients/` runs at the store and again through the
//! proxy, and must see the same. `make test-clients` installs what they need and runs them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin_endpoint;
mod difference;
mod mysql_async_suite;
mod place;
mod run;
mod sqlx_suite;
mod transcript;

use run::{Program, Suite};

/// One test a suite, named after it: its program; what has to be installed for it; whether the
/// program does as `CLIENT_PREDICT` and `CLIENT_TLS` ask. A command's words may hold `{python}`
/// (the interpreter that `make setup` prepares), `{clients}` (the folder of the suites) and
/// `{cache}` (`.cache` of this checkout).
macro_rules! suites {
    ($($name:ident { $kind:ident: $program:expr, needs: $needs:literal, predicts: $predicts:literal, tls: $tls:literal })*) => {
        $(
            #[test]
            fn $name() {
                run::check(&Suite {
                    name: stringify!($name),
                    program: program!($kind, $program),
                    needs: $needs,
                    predicts: $predicts,
                    tls: $tls,
                });
            }
        )*
    };
}

macro_rules! program {
    (command, $words:expr) => {
        Program::Command(&$words)
    };
    (function, $function:expr) => {
        Program::Function($function)
    };
}

suites! {
    mariadb {
        command: ["sh", "{clients}/cli/mariadb.sh"],
        needs: "MariaDB's client programs",
        predicts: true,
        tls: true
    }
    mariadb_dump {
        command: ["sh", "{clients}/cli/dump.sh"],
        needs: "MariaDB's client programs",
        predicts: false,
        tls: true
    }
    mariadb_slap {
        command: ["sh", "{clients}/cli/slap.sh"],
        needs: "MariaDB's client programs",
        predicts: false,
        tls: true
    }
    sysbench {
        command: ["sh", "{clients}/cli/sysbench.sh"],
        needs: "sysbench",
        predicts: true,
        tls: false
    }
    pymysql {
        command: ["{python}", "{clients}/python/pymysql_suite.py"],
        needs: "PyMySQL",
        predicts: true,
        tls: true
    }
    mysqlclient {
        command: ["{python}", "{clients}/python/mysqlclient_suite.py"],
        needs: "mysqlclient",
        predicts: true,
        tls: true
    }
    connector_python_pure {
        command: ["{python}", "{clients}/python/connector_suite.py", "pure"],
        needs: "mysql-connector-python",
        predicts: true,
        tls: true
    }
    connector_python_c {
        command: ["{python}", "{clients}/python/connector_suite.py", "c"],
        needs: "mysql-connector-python",
        predicts: true,
        tls: true
    }
    sqlalchemy {
        command: ["{python}", "{clients}/python/sqlalchemy_suite.py", "mysqldb", "pymysql"],
        needs: "SQLAlchemy, mysqlclient, PyMySQL",
        predicts: true,
        tls: true
    }
    django {
        command: ["{python}", "{clients}/python/django_suite.py"],
        needs: "Django, mysqlclient",
        predicts: true,
        tls: true
    }
    mysql2 {
        command: ["node", "{clients}/node/mysql2.js"],
        needs: "node, and mysql2 beside the suite",
        predicts: true,
        tls: true
    }
    sequelize {
        command: ["node", "{clients}/node/sequelize.js"],
        needs: "node, and Sequelize beside the suite",
        predicts: true,
        tls: true
    }
    php_mysqli {
        command: ["php", "-d", "mysqli.allow_local_infile=1", "{clients}/php/mysqli.php"],
        needs: "php and its mysqli",
        predicts: true,
        tls: true
    }
    php_pdo {
        command: ["php", "{clients}/php/pdo.php"],
        needs: "php and its pdo_mysql",
        predicts: true,
        tls: true
    }
    perl_dbd_mariadb {
        command: ["perl", "{clients}/perl/dbi.pl", "MariaDB"],
        needs: "DBD::MariaDB",
        predicts: true,
        tls: true
    }
    perl_dbd_mysql {
        command: ["perl", "{clients}/perl/dbi.pl", "mysql"],
        needs: "DBD::mysql",
        predicts: true,
        tls: true
    }
    connector_j {
        command: ["sh", "{clients}/java/run.sh"],
        needs: "a JDK and MariaDB Connector/J",
        predicts: true,
        tls: true
    }
    mysql_async {
        function: mysql_async_suite::run,
        needs: "nothing else",
        predicts: true,
        tls: true
    }
    sqlx {
        function: sqlx_suite::run,
        needs: "nothing else",
        predicts: true,
        tls: false
    }
}
