-- Artisans to be found: near a place, by what they make, by whether they sell.
--
-- Artisans come on one topic and their products on another, in any order, so each writes columns of its own. An artisan
-- who lists before being verified stands here with a number of products and nothing else. A suspended artisan who is
-- verified again stays suspended until the status says otherwise.

CREATE TABLE artisan_directory (
  artisan_id    text PRIMARY KEY,
  business_name text,
  contact_email text,
  city          text,
  latitude      double precision,
  longitude     double precision,
  specialties   jsonb,
  status        text,
  verified_at   timestamptz,
  product_count bigint NOT NULL DEFAULT 0
);
CREATE INDEX ON artisan_directory (latitude);
CREATE INDEX ON artisan_directory (longitude);
CREATE INDEX ON artisan_directory (city, business_name);
CREATE INDEX ON artisan_directory (status, business_name);

COMMENT ON TABLE artisan_directory IS 'Artisans, one row each.';
COMMENT ON COLUMN artisan_directory.business_name IS 'Null until the artisan is verified.';
COMMENT ON COLUMN artisan_directory.latitude IS 'Degrees north: a box around a place is latitude and longitude between two values each.';
COMMENT ON COLUMN artisan_directory.longitude IS 'Degrees east.';
COMMENT ON COLUMN artisan_directory.specialties IS 'What they make, as a list. Filter artisan_specialty to find artisans by one.';
COMMENT ON COLUMN artisan_directory.status IS 'ACTIVE once verified, then what the last change of status says; null before either.';
COMMENT ON COLUMN artisan_directory.product_count IS 'Products that they have listed.';

CREATE TABLE artisan_specialty (
  specialty  text,
  artisan_id text,
  PRIMARY KEY (specialty, artisan_id)
);
CREATE INDEX ON artisan_specialty (artisan_id);

COMMENT ON TABLE artisan_specialty IS 'What artisans make, one row an artisan and specialty.';

CREATE TABLE _product (product_id text PRIMARY KEY);

INSERT INTO artisan_directory (artisan_id, business_name, contact_email, city, latitude, longitude, specialties, status,
                               verified_at)
SELECT e.artisan_id, e.business_name, e.contact_email, e.location ->> 'city',
       (e.location ->> 'latitude')::double precision, (e.location ->> 'longitude')::double precision, e.specialties,
       'ACTIVE', e.verified_at
FROM artisans.artisan_verified e
ON CONFLICT (artisan_id) DO UPDATE
SET business_name = EXCLUDED.business_name, contact_email = EXCLUDED.contact_email, city = EXCLUDED.city,
    latitude = EXCLUDED.latitude, longitude = EXCLUDED.longitude, specialties = EXCLUDED.specialties,
    status = COALESCE(artisan_directory.status, EXCLUDED.status), verified_at = EXCLUDED.verified_at;

INSERT INTO artisan_directory (artisan_id, status)
SELECT e.artisan_id, e.new_status FROM artisans.artisan_status_changed e
ON CONFLICT (artisan_id) DO UPDATE SET status = EXCLUDED.status;

DELETE FROM artisan_specialty s USING artisans.artisan_verified e WHERE s.artisan_id = e.artisan_id;

INSERT INTO artisan_specialty (specialty, artisan_id)
SELECT s.specialty, e.artisan_id
FROM artisans.artisan_verified e CROSS JOIN jsonb_array_elements_text(e.specialties) AS s(specialty)
ON CONFLICT (specialty, artisan_id) DO NOTHING;

-- A product counts once: it is listed again whenever its offer changes.

INSERT INTO artisan_directory (artisan_id, product_count)
SELECT e.artisan_id, 1 FROM catalog.new_product_listed e
WHERE NOT EXISTS (SELECT 1 FROM _product p WHERE p.product_id = e.product_id)
ON CONFLICT (artisan_id) DO UPDATE
SET product_count = artisan_directory.product_count + EXCLUDED.product_count;

INSERT INTO _product (product_id) SELECT e.product_id FROM catalog.new_product_listed e
ON CONFLICT (product_id) DO NOTHING;

-- A shop window, but for the address to write to.

GRANT SELECT (artisan_id, business_name, city, latitude, longitude, specialties, status, verified_at, product_count)
              ON artisan_directory
TO PUBLIC;
GRANT SELECT ON artisan_directory TO staff, admin;
GRANT SELECT ON artisan_specialty TO PUBLIC;
