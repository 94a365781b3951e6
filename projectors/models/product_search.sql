-- Products to be found: by words, by category, by price, by who makes them. Only what is listed is shown.
--
-- Artisans and stock come on topics of their own, in any order. So what a product shows of them is looked up when it is
-- first listed, and brought to the products that are there when it changes. Whoever listed a product first is its
-- artisan: a listing that says otherwise changes the offer, and not whose it is.

CREATE TABLE product_search (
  product_id     text PRIMARY KEY,
  artisan_id     text NOT NULL,
  artisan_name   text,
  artisan_status text,
  name           text NOT NULL,
  category       text NOT NULL,
  price          numeric(12,2) NOT NULL,
  initial        int NOT NULL,
  level          int,
  in_stock       boolean NOT NULL GENERATED ALWAYS AS (COALESCE(level, initial) > 0) STORED,
  listed_at      timestamptz NOT NULL,
  words          tsvector NOT NULL GENERATED ALWAYS AS (to_tsvector('simple', name || ' ' || category)) STORED
);
CREATE INDEX ON product_search (category, price);
CREATE INDEX ON product_search (category, listed_at DESC);
CREATE INDEX ON product_search (price);
CREATE INDEX ON product_search (listed_at DESC);
CREATE INDEX ON product_search (artisan_id, listed_at DESC);
CREATE INDEX ON product_search USING gin (words);

COMMENT ON TABLE product_search IS 'Products that are listed, one row each.';
COMMENT ON COLUMN product_search.artisan_name IS 'Null until the artisan is verified.';
COMMENT ON COLUMN product_search.artisan_status IS 'ACTIVE once verified, then what the last change of status says; null before either.';
COMMENT ON COLUMN product_search.price IS 'As last listed. The catalogue says no currency.';
COMMENT ON COLUMN product_search.initial IS 'Pieces with which it was last listed.';
COMMENT ON COLUMN product_search.level IS 'Free pieces as the inventory last said; null where it has not.';
COMMENT ON COLUMN product_search.in_stock IS 'Whether there is a piece: the inventory''s word, and before there is one the catalogue''s.';
COMMENT ON COLUMN product_search.listed_at IS 'When the offer was last made or changed.';
COMMENT ON COLUMN product_search.words IS 'For full-text search in psql. Over HTTP, filter product_word.';

CREATE TABLE product_word (
  word       text,
  product_id text,
  PRIMARY KEY (word, product_id)
);
CREATE INDEX ON product_word (product_id);

COMMENT ON TABLE product_word IS 'Words of products'' names and categories, one row a word and product.';
COMMENT ON COLUMN product_word.word IS 'In lower case.';

CREATE TABLE _artisan (artisan_id text PRIMARY KEY, name text, status text);
CREATE TABLE _level (product_id text PRIMARY KEY, level int NOT NULL);

-- A product, and its words.

INSERT INTO product_search (product_id, artisan_id, artisan_name, artisan_status, name, category, price, initial, level,
                            listed_at)
SELECT e.product_id, e.artisan_id, a.name, a.status, e.product_name, e.category, e.price, e.initial_stock, l.level,
       e.listed_at
FROM catalog.new_product_listed e
LEFT JOIN _artisan a ON a.artisan_id = e.artisan_id
LEFT JOIN _level l ON l.product_id = e.product_id
ON CONFLICT (product_id) DO UPDATE
SET name = EXCLUDED.name, category = EXCLUDED.category, price = EXCLUDED.price, initial = EXCLUDED.initial,
    listed_at = EXCLUDED.listed_at;

DELETE FROM product_word w USING catalog.new_product_listed e WHERE w.product_id = e.product_id;

INSERT INTO product_word (word, product_id)
SELECT w.word, e.product_id
FROM catalog.new_product_listed e
CROSS JOIN regexp_split_to_table(lower(e.product_name || ' ' || e.category), '[^[:alnum:]]+') AS w(word)
WHERE w.word <> ''
ON CONFLICT (word, product_id) DO NOTHING;

-- An artisan: the helper first, then the products that are there already.

INSERT INTO _artisan (artisan_id, name, status)
SELECT e.artisan_id, e.business_name, 'ACTIVE' FROM artisans.artisan_verified e
ON CONFLICT (artisan_id) DO UPDATE SET name = EXCLUDED.name, status = COALESCE(_artisan.status, EXCLUDED.status);

UPDATE product_search p SET artisan_name = a.name, artisan_status = a.status
FROM artisans.artisan_verified e JOIN _artisan a ON a.artisan_id = e.artisan_id WHERE p.artisan_id = e.artisan_id;

INSERT INTO _artisan (artisan_id, status) SELECT e.artisan_id, e.new_status FROM artisans.artisan_status_changed e
ON CONFLICT (artisan_id) DO UPDATE SET status = EXCLUDED.status;

UPDATE product_search p SET artisan_name = a.name, artisan_status = a.status
FROM artisans.artisan_status_changed e JOIN _artisan a ON a.artisan_id = e.artisan_id
WHERE p.artisan_id = e.artisan_id;

-- The stock: likewise.

INSERT INTO _level (product_id, level) SELECT e.product_id, e.remaining_stock FROM inventory.stock_reserved e
ON CONFLICT (product_id) DO UPDATE SET level = EXCLUDED.level;

UPDATE product_search p SET level = e.remaining_stock
FROM inventory.stock_reserved e WHERE p.product_id = e.product_id;

INSERT INTO _level (product_id, level) SELECT e.product_id, e.new_stock FROM inventory.stock_released e
ON CONFLICT (product_id) DO UPDATE SET level = EXCLUDED.level;

UPDATE product_search p SET level = e.new_stock FROM inventory.stock_released e WHERE p.product_id = e.product_id;

INSERT INTO _level (product_id, level) SELECT e.product_id, 0 FROM inventory.stock_depleted e
ON CONFLICT (product_id) DO UPDATE SET level = EXCLUDED.level;

UPDATE product_search p SET level = 0 FROM inventory.stock_depleted e WHERE p.product_id = e.product_id;

-- A shop window.

GRANT SELECT ON product_search, product_word TO PUBLIC;
