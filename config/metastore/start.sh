#!/usr/bin/env bash
# Makes the schema where there is none, then serves on the port that is given. In containers; stack/services/metastore.py does the same.
set -euo pipefail
home=/opt/lakehouse/metastore
# User and password come from metastore-site.xml on the class path; our jars come before its own, of which some are older.
options=(-Xmx512m -XX:+UseSerialGC "-Dmetastore.home=$home" -Dlog4j.configurationFile=/opt/lakehouse/etc/metastore/log4j2.properties)
for package in java.lang java.net java.util java.util.concurrent; do options+=("--add-opens=java.base/$package=ALL-UNNAMED"); done
tools=org.apache.hadoop.hive.metastore
class_path="/opt/lakehouse/etc/metastore:/opt/lakehouse/jars/*:$home/lib/*"
schema() { METASTORE_HOME=$home java "${options[@]}" -cp "$class_path" "$tools.tools.MetastoreSchemaTool" -dbType postgres "$@"; }
schema -info >/dev/null 2>&1 || schema -initSchema
METASTORE_HOME=$home exec java "${options[@]}" -cp "$class_path" "$tools.HiveMetaStore" -p "$1"
