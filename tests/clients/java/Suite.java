// What programs with MariaDB Connector/J do: its text and its server-side statements, batches of all kinds, metadata.

import java.sql.Connection;

final class Suite {
    /** Ways in which the driver speaks to the server. */
    private static final String[][] WAYS = {
        {"useServerPrepStmts=false"},
        {"useServerPrepStmts=false", "rewriteBatchedStatements=true"},
        {"useServerPrepStmts=true", "useBulkStmts=false", "cachePrepStmts=false"},
        {"useServerPrepStmts=true", "useBulkStmts=true"},
    };

    private Suite() {}

    public static void main(String[] arguments) throws Exception {
        if (Transcript.env("CLIENT_PREDICT").equals("1")) {
            Sessions.predictions();
            return;
        }
        for (String[] way : WAYS) {
            Transcript.say("way", (Object) way);
            try (Connection connection = Transcript.connect(way)) {
                Values.everyType(connection);
                Values.parameters(connection);
                Statements.batches(connection);
                Statements.procedures(connection);
                Statements.transactions(connection);
                Statements.errors(connection);
                Statements.updatableResults(connection);
            }
        }
        for (String prepares : new String[] {"useServerPrepStmts=false", "useServerPrepStmts=true"}) {
            try (Connection connection = Transcript.connect(prepares)) {
                Values.large(connection);
            }
        }
        Statements.severalResults();
        Statements.files();
        try (Connection connection = Transcript.connect()) {
            Metadata.introspect(connection);
        }
        Sessions.options();
        Sessions.validity();
        Sessions.cancellation();
        Sessions.pools();
        Sessions.distributed();
    }
}
