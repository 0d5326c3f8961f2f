#!/bin/sh
# Compiles the suite into the current directory, and runs it.
set -eu

here=$(dirname -- "$0")
driver=${MARIADB_JAVA_CLIENT:-/usr/share/java/mariadb-java-client.jar}
javac -encoding UTF-8 -cp "$driver" -d classes "$here"/*.java
exec java -Xmx1g -XX:TieredStopAtLevel=1 -Duser.timezone=UTC -Dfile.encoding=UTF-8 -cp "classes:$driver" \
    -DeveryType="$here/../every_type.sql" Suite
