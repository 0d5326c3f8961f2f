// The transcript of a suite: one line a step, of values that are the same in every run.

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.Reader;
import java.lang.reflect.Array;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Blob;
import java.sql.Clob;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.stream.Collectors;

final class Transcript {
    static final String DATABASE = env("CLIENT_DATABASE");
    private static final int TEXT_CHARS_MAX = 300;
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    /** What may fail as the database does. */
    interface Call {
        void run() throws SQLException;
    }

    private Transcript() {}

    static String env(String name) {
        return Objects.requireNonNullElse(System.getenv(name), "");
    }

    static List<String> expected() {
        return List.of(env("CLIENT_EXPECT").split(","));
    }

    /** Statements of the file that all suites share. */
    static List<String> everyTypeStatements() throws IOException {
        String text = Files.readString(Path.of(System.getProperty("everyType")));
        return Arrays.stream(text.split(";\n")).filter(statement -> !statement.isBlank()).toList();
    }

    /** A connection with the driver's options as {@code name=value}. */
    static Connection connect(String... options) throws SQLException {
        return connectAs(env("CLIENT_PASSWORD"), DATABASE, options);
    }

    static Connection connectAs(String password, String database, String... options) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", env("CLIENT_USER"));
        properties.setProperty("password", password);
        if (env("CLIENT_TLS").equals("1")) {
            properties.setProperty("useSsl", "true");
            properties.setProperty("serverSslCert", env("CLIENT_CA"));
        }
        for (String option : options) {
            String[] parts = option.split("=", 2);
            properties.setProperty(parts[0], parts[1]);
        }
        return DriverManager.getConnection(url(database), properties);
    }

    static String url(String database) {
        return "jdbc:mariadb://" + env("CLIENT_HOST") + ":" + env("CLIENT_PORT") + "/" + database;
    }

    static void say(String step, Object... values) {
        OUT.println(step + ": " + Arrays.stream(values).map(Transcript::render).collect(Collectors.joining(", ")));
    }

    /** Says how a call failed; fails where it did not. */
    static void refused(String step, int code, Call call) throws SQLException {
        try {
            call.run();
        } catch (SQLException error) {
            check(error.getErrorCode() == code, step + ": " + error);
            say(step, error.getClass().getSimpleName(), error.getErrorCode(), error.getSQLState(), message(error));
            return;
        }
        check(false, step + " was not refused");
    }

    /** What an error says, without the connection's number and address. */
    static String message(SQLException error) {
        return error.getMessage().replaceAll("\\(conn=\\d+\\) ", "").replaceAll("\\(port=\\d+\\)", "");
    }

    static void check(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    static void execute(Connection connection, String... statements) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            for (String sql : statements) {
                statement.execute(sql);
            }
        }
    }

    /** The first column of the only row. */
    static String one(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery(sql)) {
            check(rows.next(), "no row: " + sql);
            return rows.getString(1);
        }
    }

    static List<List<Object>> query(Connection connection, String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            return rows(statement.executeQuery(sql));
        }
    }

    /** All rows, by the classes that the driver chooses. */
    static List<List<Object>> rows(ResultSet result) throws SQLException {
        List<List<Object>> rows = new ArrayList<>();
        int count = result.getMetaData().getColumnCount();
        while (result.next()) {
            List<Object> row = new ArrayList<>();
            for (int column = 1; column <= count; column++) {
                row.add(result.getObject(column));
            }
            rows.add(row);
        }
        return rows;
    }

    static List<List<Object>> columns(ResultSetMetaData columns) throws SQLException {
        List<List<Object>> all = new ArrayList<>();
        for (int column = 1; column <= columns.getColumnCount(); column++) {
            all.add(List.of(columns.getColumnLabel(column), columns.getColumnName(column), columns.getTableName(column), columns.getCatalogName(column),
                    columns.getColumnTypeName(column), columns.getColumnType(column), columns.getColumnClassName(column), columns.getColumnDisplaySize(column),
                    columns.getPrecision(column), columns.getScale(column), columns.isNullable(column), columns.isAutoIncrement(column), columns.isSigned(column)));
        }
        return all;
    }

    /** A value with its class, short, and without the name of the run's database. */
    static String render(Object value) {
        try {
            if (value == null) {
                return "null";
            } else if (value instanceof String text) {
                return text(text);
            } else if (value instanceof byte[] bytes) {
                return bytes(bytes);
            } else if (value instanceof List<?> list) {
                return list.stream().map(Transcript::render).collect(Collectors.joining(", ", "[", "]"));
            } else if (value instanceof Clob clob) {
                return "Clob " + text(clob.getSubString(1, (int) clob.length()));
            } else if (value instanceof Blob blob) {
                return "Blob " + bytes(blob.getBytes(1, (int) blob.length()));
            } else if (value instanceof InputStream stream) {
                return "InputStream " + bytes(stream.readAllBytes());
            } else if (value instanceof Reader reader) {
                return "Reader " + text(allOf(reader));
            } else if (value.getClass().isArray()) {
                return array(value);
            }
            return value.getClass().getSimpleName() + " " + masked(value.toString());
        } catch (SQLException | IOException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String allOf(Reader reader) throws IOException {
        StringBuilder all = new StringBuilder();
        for (int next = reader.read(); next >= 0; next = reader.read()) {
            all.append((char) next);
        }
        return all.toString();
    }

    private static String array(Object array) {
        List<Object> items = new ArrayList<>();
        for (int index = 0; index < Array.getLength(array); index++) {
            items.add(Array.get(array, index));
        }
        return render(items);
    }

    private static String text(String text) {
        if (text.length() > TEXT_CHARS_MAX) {
            return "text(" + text.length() + " chars, sha256 " + digest(text.getBytes(StandardCharsets.UTF_8)) + ")";
        }
        return "\"" + masked(text).replaceAll("\\p{Cntrl}", "·") + "\"";
    }

    private static String bytes(byte[] bytes) {
        if (bytes.length > TEXT_CHARS_MAX) {
            return "bytes(" + bytes.length + ", sha256 " + digest(bytes) + ")";
        }
        return "bytes " + HexFormat.of().formatHex(bytes);
    }

    private static String digest(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes)).substring(0, 16);
        } catch (NoSuchAlgorithmException error) {
            throw new IllegalStateException(error);
        }
    }

    private static String masked(String text) {
        return text.replace(DATABASE, "DATABASE").replaceAll("'(127\\.0\\.0\\.1|localhost)'", "'HOST'");
    }
}
