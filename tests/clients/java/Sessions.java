// Connections: options, pools, cancelled and killed statements, distributed transactions, refused logins.

import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLTimeoutException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import javax.sql.XAConnection;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.mariadb.jdbc.MariaDbDataSource;
import org.mariadb.jdbc.MariaDbPoolDataSource;

final class Sessions {
    private Sessions() {}

    static void options() throws SQLException {
        String[][] sets = {
            {"useCompression=true"}, {"useAffectedRows=true"}, {"usePipelineAuth=false", "useBatchMultiSend=false"},
            {"sessionVariables=wait_timeout=77,sql_mode='ANSI_QUOTES'"}, {"connectionAttributes=ключ:значение,b:c"},
            {"useReadAheadInput=false"}, {"tcpNoDelay=false"}, {"enablePacketDebug=true"}, {"dumpQueriesOnException=true"}, {"tinyInt1isBit=false", "yearIsDateType=false"}, {"createDatabaseIfNotExist=true"},
        };
        for (String[] set : sets) {
            try (Connection connection = Transcript.connect(set)) {
                Transcript.say(String.join(" ", set), Transcript.query(connection, "SELECT @@wait_timeout, @@sql_mode, c_tinyint, c_bool, c_year FROM every_type"));
                try (Statement statement = connection.createStatement()) {
                    Transcript.say("updated", statement.executeUpdate("UPDATE account SET sum = sum"));
                }
            }
        }
        Transcript.refused("wrong password", 1045, () -> Transcript.connectAs("wrong", Transcript.DATABASE).close());
        Transcript.refused("database not allowed", 1044, () -> Transcript.connectAs(Transcript.env("CLIENT_PASSWORD"), "mysql").close());
    }

    static void validity() throws SQLException {
        try (Connection connection = Transcript.connect(); Connection other = Transcript.connect()) {
            Transcript.check(connection.isValid(5), "a ping");
            Transcript.execute(other, "KILL " + Transcript.one(connection, "SELECT CONNECTION_ID()"));
            Transcript.check(!connection.isValid(5), "the killed connection lives");
            other.setCatalog(Transcript.DATABASE);
            Transcript.say("catalog", other.getCatalog());
        }
    }

    static void cancellation() throws Exception {
        try (Connection connection = Transcript.connect(); Connection watcher = Transcript.connect(); Statement statement = connection.createStatement()) {
            String id = Transcript.one(connection, "SELECT CONNECTION_ID()");
            Thread canceller = new Thread(() -> {
                try {
                    String sleeping = "SELECT COUNT(*) FROM information_schema.processlist WHERE id = " + id + " AND info LIKE 'SELECT SLEEP%'";
                    while (!Transcript.one(watcher, sleeping).equals("1")) {
                        Thread.onSpinWait();
                    }
                    statement.cancel();
                } catch (SQLException error) {
                    throw new IllegalStateException(error);
                }
            });
            canceller.start();
            Transcript.refused("cancelled", 1317, () -> statement.executeQuery("SELECT SLEEP(60), seq FROM seq_1_to_2"));
            canceller.join();
            statement.setQueryTimeout(1);
            try {
                statement.executeQuery("SELECT COUNT(*) FROM seq_1_to_1000000 a JOIN seq_1_to_1000000 b WHERE a.seq + b.seq = 3");
                Transcript.check(false, "no timeout");
            } catch (SQLTimeoutException error) {
                Transcript.say("timeout", error.getErrorCode(), error.getSQLState());
            }
            statement.setQueryTimeout(0);
            statement.setMaxRows(3);
            Transcript.say("usable after it", Transcript.rows(statement.executeQuery("SELECT seq FROM seq_1_to_10")));
        }
    }

    /** Connections that are reset when they are given back. */
    static void pools() throws Exception {
        String url = Transcript.url(Transcript.DATABASE) + "?maxPoolSize=2&minPoolSize=1&useResetConnection=true&poolValidMinDelay=0";
        try (MariaDbPoolDataSource pool = new MariaDbPoolDataSource(url + tls("&"))) {
            pool.setUser(Transcript.env("CLIENT_USER"));
            pool.setPassword(Transcript.env("CLIENT_PASSWORD"));
            for (int round = 0; round < 20; round++) {
                try (Connection one = pool.getConnection(); Connection two = pool.getConnection()) {
                    Transcript.check(Transcript.one(one, "SELECT @kept") == null && Transcript.one(two, "SELECT @kept") == null, "the reset");
                    Transcript.execute(one, "SET @kept = 1");
                    Transcript.execute(two, "CREATE TEMPORARY TABLE passing (a INT)");
                }
            }
            Transcript.say("pool", "reset");
        }
    }

    private static String tls(String separator) {
        return Transcript.env("CLIENT_TLS").equals("1") ? separator + "useSsl=true&serverSslCert=" + Transcript.env("CLIENT_CA") : "";
    }

    /** A transaction in two phases. */
    static void distributed() throws SQLException, XAException {
        MariaDbDataSource source = new MariaDbDataSource(Transcript.url(Transcript.DATABASE) + tls("?"));
        source.setUser(Transcript.env("CLIENT_USER"));
        source.setPassword(Transcript.env("CLIENT_PASSWORD"));
        XAConnection distributed = source.getXAConnection();
        XAResource resource = distributed.getXAResource();
        try (Connection connection = distributed.getConnection()) {
            for (boolean committed : new boolean[] {true, false}) {
                // Ids of transactions are the server's, not the database's.
                Xid xid = xid(Transcript.DATABASE + committed);
                resource.start(xid, XAResource.TMNOFLAGS);
                Transcript.execute(connection, "REPLACE INTO account VALUES (" + (committed ? 100 : 101) + ", 1)");
                resource.end(xid, XAResource.TMSUCCESS);
                Transcript.say("prepared", resource.prepare(xid));
                if (committed) {
                    resource.commit(xid, false);
                } else {
                    resource.rollback(xid);
                }
            }
            Transcript.say("distributed", Transcript.query(connection, "SELECT id FROM account WHERE id >= 100"));
        }
        distributed.close();
    }

    private static Xid xid(String name) {
        return new Xid() {
            @Override
            public int getFormatId() {
                return 1;
            }

            @Override
            public byte[] getGlobalTransactionId() {
                return name.getBytes();
            }

            @Override
            public byte[] getBranchQualifier() {
                return new byte[] {1};
            }
        };
    }

    static void predictions() throws SQLException {
        List<String> expected = Transcript.expected();
        for (String prepares : new String[] {"useServerPrepStmts=false", "useServerPrepStmts=true"}) {
            try (Connection connection = Transcript.connect(prepares)) {
                List<String> labels = new ArrayList<>();
                try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT id, ml.predict('apparel', photo) AS label FROM photos ORDER BY id")) {
                    while (rows.next()) {
                        labels.add(rows.getString("label"));
                    }
                }
                Transcript.check(labels.equals(expected), "labels: " + labels);
                try (PreparedStatement select = connection.prepareStatement("SELECT id FROM photos WHERE ml.predict('apparel', photo) = ? ORDER BY id")) {
                    for (String label : expected) {
                        select.setString(1, label);
                        for (List<Object> row : Transcript.rows(select.executeQuery())) {
                            Transcript.check(expected.get((Integer) row.get(0) - 1).equals(label), label + ": " + row);
                        }
                    }
                }
                predictionsByCursor(connection, expected);
                predictionsWithParameters(connection, expected.get(0));
            }
        }
    }

    /** Some rows at a time: with a cursor of the server, where statements are prepared there. */
    private static void predictionsByCursor(Connection connection, List<String> expected) throws SQLException {
        for (String sql : new String[] {
            "SELECT ml.predict('apparel', photo) FROM photos WHERE id > ? ORDER BY id",
            "SELECT k FROM (SELECT id, ml.apparel(photo) AS k FROM photos) AS d WHERE id > ? ORDER BY id",
        }) {
            try (PreparedStatement select = connection.prepareStatement(sql)) {
                select.setFetchSize(3);
                select.setInt(1, 0);
                List<String> labels = new ArrayList<>();
                try (ResultSet rows = select.executeQuery()) {
                    while (rows.next()) {
                        labels.add(rows.getString(1));
                    }
                }
                Transcript.check(labels.equals(expected), "labels by cursor: " + labels);
            }
        }
    }

    private static void predictionsWithParameters(Connection connection, String first) throws SQLException {
        Object[][] asked = {
            {"SELECT ml.predict('apparel', photo) AS k, COUNT(*) AS n FROM photos WHERE id < ? GROUP BY k HAVING k <> ? ORDER BY n, k", 18, first},
            {"SELECT id, ml.apparel(photo) FROM photos WHERE ml.predict('apparel', photo) IN (?, ?) AND id <> ? ORDER BY 2, 1", first, "Bag", 3},
            {"SELECT ml.apparel(?) AS label, CONCAT(ml.apparel(?), '!') AS said", "photos/00002.png", null},
            {"SELECT id, ml.apparel(photo) = ? AS same FROM photos ORDER BY id LIMIT ? OFFSET ?", first, 4, 2},
        };
        for (Object[] one : asked) {
            try (PreparedStatement select = connection.prepareStatement((String) one[0])) {
                for (int at = 1; at < one.length; at++) {
                    select.setObject(at, one[at]);
                }
                for (int time = 0; time < 2; time++) {
                    try (ResultSet rows = select.executeQuery()) {
                        List<Object> columns = new ArrayList<>();
                        for (int at = 1; at <= rows.getMetaData().getColumnCount(); at++) {
                            columns.add(rows.getMetaData().getColumnLabel(at));
                            columns.add(rows.getMetaData().getColumnTypeName(at));
                            columns.add(rows.getMetaData().getPrecision(at));
                        }
                        Transcript.say("asked " + one[0], columns, Transcript.rows(rows));
                    }
                }
            }
        }
        predictionsAsChanges(connection, first);
    }

    private static void predictionsAsChanges(Connection connection, String first) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute("CREATE OR REPLACE TABLE kinds (id INT PRIMARY KEY, kind VARCHAR(40))");
        }
        connection.setAutoCommit(false);
        Object[][] changes = {
            {"INSERT INTO kinds SELECT id, ml.predict('apparel', photo) FROM photos WHERE id < ?", 9},
            {"UPDATE kinds JOIN photos USING (id) SET kind = CONCAT(ml.apparel(photo), ?) WHERE ml.apparel(photo) <> ?", "!", first},
            {"DELETE kinds FROM kinds JOIN photos USING (id) WHERE ml.apparel(photo) = ?", first},
        };
        for (Object[] change : changes) {
            try (PreparedStatement statement = connection.prepareStatement((String) change[0])) {
                for (int at = 1; at < change.length; at++) {
                    statement.setObject(at, change[at]);
                }
                Transcript.say("changed " + change[0], statement.executeUpdate());
            }
        }
        connection.commit();
        connection.setAutoCommit(true);
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT * FROM kinds ORDER BY id")) {
            Transcript.say("kinds", Transcript.rows(rows));
        }
    }
}
