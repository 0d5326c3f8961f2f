import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;

/** MariaDB Connector/J at the admin endpoint, with and without server-side statements. Environment: ADMIN_HOST, ADMIN_PORT, ADMIN_PASSWORD. */
public final class Drivers {
    public static void main(String[] arguments) throws SQLException {
        for (String options : new String[] {"", "?useServerPrepStmts=true", "?sessionVariables=sql_mode='ANSI'&useCompression=false"}) {
            String url = "jdbc:mariadb://" + System.getenv("ADMIN_HOST") + ":" + System.getenv("ADMIN_PORT") + "/admin" + options;
            try (Connection connection = DriverManager.getConnection(url, "admin", System.getenv("ADMIN_PASSWORD"))) {
                run(connection);
            }
            System.out.println("connector_j" + options);
        }
    }

    private static void run(Connection connection) throws SQLException {
        same(true, connection.isValid(1));
        same(true, connection.getAutoCommit());
        connection.setAutoCommit(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_READ_COMMITTED);
        connection.setReadOnly(true);
        connection.commit();
        connection.setAutoCommit(true);
        same("admin", connection.getCatalog());
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SELECT 1, @@version_comment")) {
            same(true, rows.next());
            same(1, rows.getInt(1));
            same("PredictSQL admin endpoint", rows.getString(2));
        }
        try (PreparedStatement statement = connection.prepareStatement("SHOW VARIABLES WHERE Variable_name = ?")) {
            statement.setString(1, "license");
            try (ResultSet rows = statement.executeQuery()) {
                same(true, rows.next());
                same("Apache-2.0", rows.getString("Value"));
            }
        }
        try (PreparedStatement statement = connection.prepareStatement("KILL SESSION ?")) {
            statement.setLong(1, 4_000_000_000L);
            statement.execute();
            throw new AssertionError("KILL SESSION");
        } catch (SQLException expected) {
            same(1094, expected.getErrorCode());
        }
        try (Statement statement = connection.createStatement(); ResultSet rows = statement.executeQuery("SHOW SESSIONS")) {
            same(false, rows.next());
            same("id", rows.getMetaData().getColumnLabel(1));
        }
    }

    private static void same(Object expected, Object found) {
        if (!expected.equals(found)) {
            throw new AssertionError(expected + " expected, not " + found);
        }
    }
}
