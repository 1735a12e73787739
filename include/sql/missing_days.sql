-- Days between the first one and :until, at most :days of them, that have no tick in bronze_option_ticks; from metadata alone.
SELECT wanted.day
FROM (
  SELECT min(partition.timestamp_day) AS first_day FROM option_ticks_db."bronze_option_ticks$partitions" WHERE record_count > 0
) f
CROSS JOIN UNNEST(sequence(greatest(f.first_day, :until - INTERVAL ':days' DAY), greatest(f.first_day, :until))) AS wanted (day)
LEFT JOIN (
  SELECT DISTINCT partition.timestamp_day AS day FROM option_ticks_db."bronze_option_ticks$partitions" WHERE record_count > 0
) t ON t.day = wanted.day
WHERE t.day IS NULL AND wanted.day <= :until
ORDER BY 1
