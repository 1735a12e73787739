-- Days whose ticks and summary differ in their number of rows; counts come from the files' metadata, no tick is read. Rows that somebody
-- deleted are in position deletes (content 1), each once. Equality deletes (content 2) tell no number: compact the table after those.
SELECT coalesce(t.day, s.day) AS day
FROM (
  SELECT day, nullif(sum(ticks), 0) AS ticks
  FROM (
    SELECT partition.timestamp_day AS day, if(content = 0, record_count, -record_count) AS ticks
    FROM option_ticks_db."bronze_option_ticks$files" WHERE content IN (0, 1)
    UNION ALL
    SELECT partition.timestamp_day, if(content = 0, record_count, -record_count)
    FROM option_ticks_db."collected_option_ticks$files" WHERE content IN (0, 1)
  ) GROUP BY 1
) t
FULL JOIN (SELECT date AS day, sum(tick_count) AS ticks FROM option_ticks_db.daily_option_summary GROUP BY 1) s ON s.day = t.day
WHERE t.ticks IS DISTINCT FROM s.ticks
ORDER BY 1
