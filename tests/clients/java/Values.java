// Columns of every type, parameters of every type, and large values.

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.StringReader;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Time;
import java.sql.Timestamp;
import java.sql.Types;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.LocalTime;
import java.util.List;

final class Values {
    private static final int MIB = 1 << 20;

    private Values() {}

    static void everyType(Connection connection) throws SQLException, IOException {
        Transcript.execute(connection, "SET time_zone = '+00:00'", "DROP TABLE IF EXISTS every_type");
        try (Statement statement = connection.createStatement()) {
            for (String sql : Transcript.everyTypeStatements()) {
                Transcript.say("every type, made", statement.execute(sql), statement.getUpdateCount());
            }
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT * FROM every_type WHERE id > ? ORDER BY id")) {
            select.setInt(1, 0);
            ResultSet rows = select.executeQuery();
            Transcript.columns(rows.getMetaData()).forEach(column -> Transcript.say("column", column));
            int count = rows.getMetaData().getColumnCount();
            for (int number = 1; rows.next(); number++) {
                Transcript.check(number != 1 || "grün 😀 'quoted' \"double\" \\ back".equals(rows.getString("c_varchar")), "text");
                for (int column = 2; column <= count; column++) {
                    Object value = value(rows, column);
                    Transcript.check(number != 5 || column == count || value == null, "the row of NULLs");
                    Transcript.say("row " + number + ", " + rows.getMetaData().getColumnName(column), value, bytes(rows, column), rows.wasNull());
                }
            }
        }
    }

    private static byte[] bytes(ResultSet rows, int column) {
        try {
            return rows.getBytes(column);
        } catch (SQLException error) {
            return Transcript.message(error).getBytes(UTF_8);
        }
    }

    private static Object value(ResultSet rows, int column) {
        try {
            return rows.getObject(column);
        } catch (SQLException error) {
            // Such as a year without a date.
            return Transcript.message(error);
        }
    }

    static void parameters(Connection connection) throws SQLException {
        Transcript.execute(connection, "CREATE OR REPLACE TABLE given (id INT AUTO_INCREMENT PRIMARY KEY, n DECIMAL(30, 10), f DOUBLE, i BIGINT, s LONGTEXT, b LONGBLOB, d DATE, t TIME(6), at DATETIME(6), yes BOOL)");
        String sql = "INSERT INTO given (n, f, i, s, b, d, t, at, yes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        try (PreparedStatement insert = connection.prepareStatement(sql, Statement.RETURN_GENERATED_KEYS)) {
            insert.setBigDecimal(1, new BigDecimal("-12345678901234567890.0123456789"));
            insert.setDouble(2, 2.718281828459045);
            insert.setLong(3, Long.MIN_VALUE);
            insert.setString(4, "it's 😀 \\ \" \0 ?");
            insert.setBytes(5, new byte[] {0, 1, -1, '\'', '\\'});
            insert.setDate(6, Date.valueOf("2024-02-29"));
            insert.setTime(7, Time.valueOf("12:34:56"));
            insert.setTimestamp(8, Timestamp.valueOf("2024-02-29 23:59:58.123456"));
            insert.setBoolean(9, true);
            inserted(insert);
            for (int column = 1; column <= 9; column++) {
                insert.setNull(column, Types.NULL);
            }
            inserted(insert);
            insert.setString(1, "1.5");
            insert.setFloat(2, -0.0f);
            insert.setInt(3, 7);
            insert.setCharacterStream(4, new StringReader("ein Strom 😀".repeat(5000)));
            insert.setBinaryStream(5, new ByteArrayInputStream("bytes".repeat(60000).getBytes(UTF_8)));
            insert.setObject(6, LocalDate.of(1, 1, 1));
            insert.setObject(7, LocalTime.of(1, 2, 3, 4005000));
            insert.setObject(8, LocalDateTime.of(9999, 12, 31, 23, 59, 59));
            insert.setShort(9, (short) 0);
            inserted(insert);
            insert.setObject(1, 5, Types.DECIMAL);
            insert.setByte(3, (byte) -1);
            insert.setClob(4, new StringReader(""));
            insert.setBlob(5, new ByteArrayInputStream(new byte[0]));
            inserted(insert);
            Transcript.say("parameters", insert.getParameterMetaData().getParameterCount());
        }
        try (PreparedStatement select = connection.prepareStatement("SELECT *, ? AS given FROM given WHERE id > ? ORDER BY id")) {
            for (Object given : List.of(1, "text", 2.5, new BigDecimal("1.10"), true, new byte[] {1}, Timestamp.valueOf("2024-01-01 00:00:00"))) {
                select.setObject(1, given);
                select.setInt(2, 1);
                ResultSet rows = select.executeQuery();
                Transcript.say("selected", Transcript.columns(rows.getMetaData()), Transcript.rows(rows));
            }
        }
    }

    private static void inserted(PreparedStatement insert) throws SQLException {
        Transcript.say("inserted", insert.executeUpdate(), Transcript.rows(insert.getGeneratedKeys()));
    }

    static void large(Connection connection) throws SQLException {
        for (int fetchSize : new int[] {0, 1, 1000}) {
            try (Statement statement = connection.createStatement()) {
                statement.setFetchSize(fetchSize);
                ResultSet rows = statement.executeQuery("SELECT seq, REPEAT('f', seq % 90) FROM seq_1_to_100000");
                long count = 0;
                long sum = 0;
                for (; rows.next(); count++) {
                    sum += rows.getLong(1) + rows.getString(2).length();
                }
                Transcript.check(count == 100000, "rows: " + count);
                Transcript.say("rows", count, sum);
                rows = statement.executeQuery("SELECT seq FROM seq_1_to_5000");
                Transcript.check(rows.next(), "a row");
                // While one is read, another statement on the same connection.
                Transcript.say("meanwhile", Transcript.one(connection, "SELECT 'other'"), rows.next(), rows.getLong(1));
            }
        }
        Transcript.execute(connection, "CREATE OR REPLACE TABLE large (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB)");
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO large (b) VALUES (?)")) {
            byte[] bytes = "abcdefgh".repeat(17 * MIB / 8).getBytes(UTF_8);
            insert.setBytes(1, bytes);
            Transcript.say("large", insert.executeUpdate());
            insert.setBinaryStream(1, new ByteArrayInputStream(bytes));
            Transcript.say("large stream", insert.executeUpdate());
        }
        Transcript.say("large, read", Transcript.query(connection, "SELECT b, MD5(b), LENGTH(b) FROM large ORDER BY id"));
        for (int length : new int[] {16777210, 16777211, 16777212, 33554422}) {
            try (PreparedStatement select = connection.prepareStatement("SELECT REPEAT('x', ?), 1")) {
                select.setInt(1, length);
                Transcript.say("near the limit of packets", Transcript.rows(select.executeQuery()));
            }
        }
    }
}
