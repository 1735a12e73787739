-- Days whose ticks and summary differ in their number of rows; partition counts come from metadata, no tick is read.
SELECT coalesce(t.day, s.day) AS day
FROM (
  SELECT partition.timestamp_day AS day, sum(record_count) AS ticks
  FROM (
    SELECT partition, record_count FROM option_ticks_db."bronze_option_ticks$partitions"
    UNION ALL
    SELECT partition, record_count FROM option_ticks_db."collected_option_ticks$partitions"
  ) GROUP BY 1
) t
FULL JOIN (SELECT date AS day, sum(tick_count) AS ticks FROM option_ticks_db.daily_option_summary GROUP BY 1) s ON s.day = t.day
WHERE t.ticks IS DISTINCT FROM s.ticks
ORDER BY 1
