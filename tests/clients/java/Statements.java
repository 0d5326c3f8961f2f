// Batches, several results, procedures, transactions, errors, files.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.BatchUpdateException;
import java.sql.CallableStatement;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.SQLWarning;
import java.sql.Savepoint;
import java.sql.Statement;
import java.sql.Types;
import org.mariadb.jdbc.MariaDbStatement;

final class Statements {
    private Statements() {}

    static void batches(Connection connection) throws SQLException {
        Transcript.execute(connection, "CREATE OR REPLACE TABLE batched (id INT AUTO_INCREMENT PRIMARY KEY, n INT UNIQUE, s VARCHAR(20))");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batched (n, s) VALUES (?, ?)", Statement.RETURN_GENERATED_KEYS)) {
            for (int n = 1; n <= 2000; n++) {
                insert.setInt(1, n);
                insert.setString(2, n % 7 == 0 ? null : "name " + n);
                insert.addBatch();
            }
            int[] counts = insert.executeBatch();
            Transcript.say("batch", counts.length, counts[0], counts[1999], Transcript.rows(insert.getGeneratedKeys()).size());
        }
        Transcript.say("batched", Transcript.query(connection, "SELECT COUNT(*), COUNT(s), SUM(n), MAX(s) FROM batched"));
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO batched (n, s) VALUES (?, ?)")) {
            for (Object[] row : new Object[][] {{3001, "first"}, {1, "again"}, {3002, "last"}}) {
                insert.setObject(1, row[0]);
                insert.setObject(2, row[1]);
                insert.addBatch();
            }
            // Of other types than before, in one batch.
            insert.setString(1, "3003");
            insert.setInt(2, 5);
            insert.addBatch();
            insert.executeBatch();
            Transcript.check(false, "the duplicate was accepted");
        } catch (BatchUpdateException error) {
            Transcript.say("a batch with a duplicate", error.getUpdateCounts(), error.getErrorCode(), error.getSQLState(), Transcript.message(error));
        }
        Transcript.say("left of it", Transcript.query(connection, "SELECT n, s FROM batched WHERE n > 3000 ORDER BY n"));
        try (PreparedStatement update = connection.prepareStatement("UPDATE batched SET s = ? WHERE n <= ?")) {
            for (int n = 1; n <= 5; n++) {
                update.setString(1, "updated " + n);
                update.setInt(2, n);
                update.addBatch();
            }
            Transcript.say("updates", update.executeBatch());
        }
        try (Statement statement = connection.createStatement()) {
            statement.addBatch("INSERT INTO batched (n) VALUES (4001)");
            statement.addBatch("DELETE FROM batched WHERE n > 1000");
            statement.addBatch("SET @batched = 1");
            Transcript.say("texts", statement.executeBatch());
        }
    }

    static void severalResults() throws SQLException {
        try (Connection connection = Transcript.connect("allowMultiQueries=true"); Statement statement = connection.createStatement()) {
            all(statement, statement.execute("SELECT 1 AS a; UPDATE batched SET s = 'x' WHERE n < 4; SELECT 'x' AS b WHERE 0; SET @v = 1; SELECT @v"));
            Transcript.refused("the second is an error", 1146, () -> all(statement, statement.execute("SELECT 1; SELECT * FROM nowhere; SELECT 3")));
            Transcript.say("usable after it", Transcript.one(connection, "SELECT 1"));
        }
    }

    private static void all(Statement statement, boolean first) throws SQLException {
        boolean rows = first;
        while (rows || statement.getUpdateCount() != -1) {
            if (rows) {
                ResultSet result = statement.getResultSet();
                Transcript.say("result", Transcript.columns(result.getMetaData()), Transcript.rows(result));
            } else {
                Transcript.say("count", statement.getUpdateCount());
            }
            rows = statement.getMoreResults();
        }
    }

    static void procedures(Connection connection) throws SQLException {
        Transcript.execute(connection,
                "CREATE OR REPLACE PROCEDURE outs(IN a INT, OUT b VARCHAR(20), INOUT c DECIMAL(10, 2)) BEGIN SELECT a AS a; SELECT n FROM batched WHERE n <= a ORDER BY n; SET b = CONCAT('ü', a), c = c * 2; END",
                "CREATE OR REPLACE PROCEDURE fails(OUT a INT) BEGIN SELECT 1; SIGNAL SQLSTATE '45001' SET MESSAGE_TEXT = 'own error', MYSQL_ERRNO = 30001; END",
                "CREATE OR REPLACE FUNCTION twice(a INT) RETURNS BIGINT NO SQL RETURN a * 2");
        try (CallableStatement call = connection.prepareCall("{call outs(?, ?, ?)}")) {
            for (int a : new int[] {1, 3}) {
                call.setInt(1, a);
                call.registerOutParameter(2, Types.VARCHAR);
                call.registerOutParameter(3, Types.DECIMAL);
                call.setBigDecimal("c", new java.math.BigDecimal("1.25"));
                all(call, call.execute());
                Transcript.say("out", call.getString(2), call.getBigDecimal("c"));
            }
            Transcript.say("parameters", call.getParameterMetaData().getParameterCount());
        }
        try (CallableStatement call = connection.prepareCall("{? = call twice(?)}")) {
            call.registerOutParameter(1, Types.BIGINT);
            call.setInt(2, 21);
            call.execute();
            Transcript.say("function", call.getLong(1));
        }
        try (CallableStatement call = connection.prepareCall("{call fails(?)}")) {
            call.registerOutParameter(1, Types.INTEGER);
            Transcript.refused("own error", 30001, () -> all(call, call.execute()));
        }
        Transcript.say("usable after it", Transcript.one(connection, "SELECT twice(4)"));
    }

    static void transactions(Connection connection) throws SQLException {
        Transcript.execute(connection, "CREATE OR REPLACE TABLE account (id INT PRIMARY KEY, sum INT NOT NULL)");
        connection.setAutoCommit(false);
        Transcript.execute(connection, "INSERT INTO account VALUES (1, 10), (2, 20)");
        connection.commit();
        Transcript.execute(connection, "UPDATE account SET sum = 0 WHERE id = 1");
        Savepoint savepoint = connection.setSavepoint("a");
        Transcript.execute(connection, "DELETE FROM account");
        connection.rollback(savepoint);
        connection.releaseSavepoint(connection.setSavepoint());
        Transcript.say("inside", Transcript.query(connection, "SELECT * FROM account ORDER BY id"));
        connection.rollback();
        connection.setAutoCommit(true);
        Transcript.say("outside", Transcript.query(connection, "SELECT * FROM account ORDER BY id"));
        for (int level : new int[] {Connection.TRANSACTION_READ_UNCOMMITTED, Connection.TRANSACTION_READ_COMMITTED, Connection.TRANSACTION_SERIALIZABLE, Connection.TRANSACTION_REPEATABLE_READ}) {
            connection.setTransactionIsolation(level);
            Transcript.say("isolation", connection.getTransactionIsolation(), Transcript.one(connection, "SELECT @@tx_isolation"));
        }
        connection.setReadOnly(true);
        Transcript.say("read only", connection.isReadOnly());
        connection.setReadOnly(false);
    }

    static void errors(Connection connection) throws SQLException {
        Transcript.refused("syntax", 1064, () -> prepared(connection, "SELEC ?", 1));
        Transcript.refused("duplicate", 1062, () -> prepared(connection, "INSERT INTO account VALUES (?, 0)", 1));
        Transcript.refused("unknown table", 1146, () -> prepared(connection, "SELECT * FROM nowhere WHERE id = ?", 1));
        Transcript.refused("too long", 1406, () -> prepared(connection, "INSERT INTO every_type (c_char) VALUES (?)", "xxxxxxxxxxx"));
        Transcript.refused("required", 1048, () -> prepared(connection, "INSERT INTO account VALUES (9, ?)", null));
        Transcript.refused("in mid result", 1242, () -> Transcript.query(connection, "SELECT (SELECT seq FROM seq_1_to_3 WHERE seq > 10 - s.seq) FROM seq_1_to_9 s"));
        Transcript.refused("not allowed", 1044, () -> connection.setCatalog("mysql"));
        Transcript.execute(connection, "SET sql_mode = ''");
        try (Statement statement = connection.createStatement()) {
            Transcript.say("warned", statement.executeUpdate("INSERT INTO account VALUES ('7x', 'y')"));
            for (SQLWarning warning = statement.getWarnings(); warning != null; warning = warning.getNextWarning()) {
                Transcript.say("warning", warning.getErrorCode(), warning.getSQLState(), warning.getMessage());
            }
        }
        Transcript.execute(connection, "SET sql_mode = DEFAULT");
    }

    private static void prepared(Connection connection, String sql, Object value) throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setObject(1, value);
            statement.execute();
        }
    }

    /** Changes rows through the result that shows them. */
    static void updatableResults(Connection connection) throws SQLException {
        try (Statement statement = connection.createStatement(ResultSet.TYPE_SCROLL_INSENSITIVE, ResultSet.CONCUR_UPDATABLE)) {
            ResultSet rows = statement.executeQuery("SELECT id, sum FROM account WHERE id < 5 ORDER BY id");
            Transcript.check(rows.last(), "rows");
            rows.updateInt("sum", 99);
            rows.updateRow();
            rows.moveToInsertRow();
            rows.updateInt("id", 4);
            rows.updateInt("sum", 40);
            rows.insertRow();
            Transcript.check(rows.first(), "rows");
            rows.deleteRow();
        }
        Transcript.say("changed in place", Transcript.query(connection, "SELECT * FROM account ORDER BY id"));
    }

    static void files() throws SQLException, IOException {
        try (Connection connection = Transcript.connect("allowLocalInfile=true"); Statement statement = connection.createStatement()) {
            statement.execute("CREATE OR REPLACE TABLE loaded (id INT PRIMARY KEY, name VARCHAR(50))");
            StringBuilder lines = new StringBuilder();
            for (int n = 0; n < 30000; n++) {
                lines.append(n).append("\tname ").append(n).append(" 😀\n");
            }
            String load = "LOAD DATA LOCAL INFILE '%s' INTO TABLE loaded CHARACTER SET utf8mb4";
            statement.unwrap(MariaDbStatement.class).setLocalInfileInputStream(new ByteArrayInputStream(lines.toString().getBytes(UTF_8)));
            Transcript.say("a stream", statement.executeUpdate(load.formatted("stream")));
            Path file = Files.writeString(Path.of("rows.tsv"), "50000\tfrom a file\n");
            Transcript.say("a file", statement.executeUpdate(load.formatted(file)));
            Transcript.say("loaded", Transcript.query(connection, "SELECT COUNT(*), MAX(id), MAX(name) FROM loaded"));
            Transcript.refused("missing file", -1, () -> statement.executeUpdate(load.formatted("missing.tsv")));
            Transcript.say("usable after it", Transcript.one(connection, "SELECT 1"));
        }
        try (Connection connection = Transcript.connect("allowLocalInfile=false"); Statement statement = connection.createStatement()) {
            Transcript.refused("not allowed", 4166, () -> statement.executeUpdate("LOAD DATA LOCAL INFILE 'x' INTO TABLE loaded"));
        }
    }
}
