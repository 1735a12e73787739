-- One statement brings the touched days to what the ticks say: rows that the ticks no longer have are deleted.
-- A day's change of volume looks at the day before, so the day after is touched as well.
MERGE INTO option_ticks_db.daily_option_summary AS target
USING (
  WITH touched AS (
    SELECT day FROM (VALUES :days) AS v (day)
    UNION
    SELECT day + INTERVAL '1' DAY FROM (VALUES :days) AS v (day)
  ),
  ticks AS (
    SELECT timestamp, symbol, last_price, volume FROM option_ticks_db.bronze_option_ticks
    UNION ALL
    SELECT timestamp, symbol, last_price, volume FROM option_ticks_db.collected_option_ticks
  ),
  daily AS (
    SELECT
      date(timestamp) AS date,
      symbol,
      min_by(last_price, timestamp) AS open,
      max(last_price) AS high,
      min(last_price) AS low,
      max_by(last_price, timestamp) AS close,
      avg(last_price) AS average_price,
      sum(volume) AS total_volume,
      count(*) AS tick_count
    FROM ticks
    WHERE timestamp >= CAST(:first_day AS timestamp(6) with time zone) - INTERVAL '1' DAY
      AND timestamp < CAST(:last_day AS timestamp(6) with time zone) + INTERVAL '2' DAY
    GROUP BY 1, 2
  ),
  computed AS (
    SELECT
      today.*,
      CAST(today.total_volume AS double) / nullif(yesterday.total_volume, 0) - 1 AS volume_change
    FROM daily AS today
    LEFT JOIN daily AS yesterday ON yesterday.symbol = today.symbol AND yesterday.date = today.date - INTERVAL '1' DAY
    WHERE today.date IN (SELECT day FROM touched)
  ),
  present AS (
    SELECT date, symbol FROM option_ticks_db.daily_option_summary WHERE date IN (SELECT day FROM touched)
  )
  SELECT
    coalesce(c.date, p.date) AS date, coalesce(c.symbol, p.symbol) AS symbol,
    c.open, c.high, c.low, c.close, c.average_price, c.total_volume, c.tick_count, c.volume_change,
    c.date IS NULL AS gone
  FROM computed AS c
  FULL JOIN present AS p ON p.date = c.date AND p.symbol = c.symbol
) AS source
ON target.date = source.date AND target.symbol = source.symbol
WHEN MATCHED AND source.gone THEN DELETE
WHEN MATCHED THEN UPDATE SET
  open = source.open, high = source.high, low = source.low, close = source.close, average_price = source.average_price,
  total_volume = source.total_volume, tick_count = source.tick_count, volume_change = source.volume_change
WHEN NOT MATCHED AND NOT source.gone THEN INSERT
  (date, symbol, open, high, low, close, average_price, total_volume, tick_count, volume_change)
  VALUES (source.date, source.symbol, source.open, source.high, source.low, source.close, source.average_price,
          source.total_volume, source.tick_count, source.volume_change)
