-- A list that is one parameter, taken apart: see `List` in the module `database`.
CREATE FUNCTION ieum_list(list TEXT) RETURNS TABLE (key BIGINT, value TEXT)
LANGUAGE sql IMMUTABLE AS $$
    SELECT item.place - 1, item.text
    FROM json_array_elements_text(list::json) WITH ORDINALITY AS item (text, place)
$$;
