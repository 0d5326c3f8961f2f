// What tools ask of DatabaseMetaData.

import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.List;

final class Metadata {
    private Metadata() {}

    static void introspect(Connection connection) throws SQLException {
        Transcript.execute(connection,
                "CREATE OR REPLACE TABLE parent (a INT, b INT, PRIMARY KEY (a, b)) COMMENT 'a parent'",
                "CREATE OR REPLACE TABLE child (id INT PRIMARY KEY, a INT, b INT, CONSTRAINT to_parent FOREIGN KEY (a, b) REFERENCES parent (a, b) ON DELETE CASCADE ON UPDATE SET NULL)",
                "CREATE OR REPLACE VIEW seen AS SELECT id, c_varchar AS `größe`, c_int + 1 AS more FROM every_type",
                "CREATE OR REPLACE SEQUENCE counter");
        DatabaseMetaData data = connection.getMetaData();
        String database = Transcript.DATABASE;
        Transcript.say("product", data.getDatabaseProductName(), data.getDatabaseProductVersion(), data.getDriverVersion(), data.getSQLKeywords().length(),
                data.getIdentifierQuoteString(), data.getMaxColumnNameLength(), data.supportsBatchUpdates(), data.storesLowerCaseIdentifiers());
        all("catalogs", data.getCatalogs(), database);
        all("table types", data.getTableTypes(), null);
        all("types", data.getTypeInfo(), null);
        all("tables", data.getTables(database, null, "%", null), null);
        all("views", data.getTables(database, null, "%", new String[] {"VIEW"}), null);
        for (String table : List.of("every_type", "parent", "child", "seen")) {
            all("columns", data.getColumns(database, null, table, null), null);
            all("primary keys", data.getPrimaryKeys(database, null, table), null);
            indexes(data.getIndexInfo(database, null, table, false, true));
            all("best row", data.getBestRowIdentifier(database, null, table, DatabaseMetaData.bestRowSession, true), null);
        }
        all("imported", data.getImportedKeys(database, null, "child"), null);
        all("exported", data.getExportedKeys(database, null, "parent"), null);
        all("cross", data.getCrossReference(database, null, "parent", database, null, "child"), null);
        all("procedures", data.getProcedures(database, null, "%"), null);
        all("functions", data.getFunctions(database, null, "%"), null);
        all("parameters", data.getProcedureColumns(database, null, "%", "%"), null);
        all("function parameters", data.getFunctionColumns(database, null, "%", "%"), null);
        all("client info", data.getClientInfoProperties(), null);
        Transcript.execute(connection, "DROP SEQUENCE counter", "DROP VIEW seen", "DROP TABLE child, parent");
    }

    /** Their order is free, and the numbers of rows and pages are estimated in the background. */
    private static void indexes(ResultSet result) throws SQLException {
        Transcript.rows(result).stream().map(row -> Transcript.render(row.subList(0, 10))).sorted().forEach(row -> Transcript.say("index", row));
    }

    /** Says the rows; with {@code only}, those whose first column starts so. */
    private static void all(String step, ResultSet result, String only) throws SQLException {
        Transcript.say(step, Transcript.columns(result.getMetaData()).stream().map(column -> column.subList(0, 6)).toList());
        for (List<Object> row : Transcript.rows(result)) {
            if (only == null || String.valueOf(row.get(0)).startsWith(only)) {
                Transcript.say(step, row);
            }
        }
    }
}
