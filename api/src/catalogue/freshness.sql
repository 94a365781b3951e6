-- How far the generation whose schema is {schema} has come. Numbers alone: they are put into words once they are here.
SELECT array_agg(topic) AS topics, array_agg(partition) AS partitions, array_agg(next_offset) AS next_offsets,
       sum(parked_version)::int8 AS parked_version,
       floor(extract(epoch FROM max(updated_at)) * 1000)::int8 AS moved_ms
FROM {schema}."@position"
