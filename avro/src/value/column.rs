//! A column of an event relation: its Postgres type, and its values in the binary form that Postgres reads as array
//! elements. Decoding writes that form once; binding copies it, nothing in between knows a value's type.

/// The Postgres type of an event relation's column (`docs/reference.md`, "Event relations").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Boolean,
    Int4,
    Int8,
    Float4,
    Float8,
    Text,
    Bytea,
    /// Precision and scale in decimal digits.
    Numeric(u16, u16),
    Uuid,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Jsonb,
}

impl ColumnType {
    /// The type as SQL writes it in a cast.
    pub fn sql(self) -> String {
        match self {
            Self::Boolean => "boolean".into(),
            Self::Int4 => "int4".into(),
            Self::Int8 => "int8".into(),
            Self::Float4 => "float4".into(),
            Self::Float8 => "float8".into(),
            Self::Text => "text".into(),
            Self::Bytea => "bytea".into(),
            Self::Numeric(precision, scale) => format!("numeric({precision},{scale})"),
            Self::Uuid => "uuid".into(),
            Self::Date => "date".into(),
            Self::Time => "time".into(),
            Self::Timestamp => "timestamp".into(),
            Self::Timestamptz => "timestamptz".into(),
            Self::Interval => "interval".into(),
            Self::Jsonb => "jsonb".into(),
        }
    }

    /// The type's and its array type's object ids, fixed in `pg_type.dat`.
    pub fn oids(self) -> (u32, u32) {
        match self {
            Self::Boolean => (16, 1000),
            Self::Int4 => (23, 1007),
            Self::Int8 => (20, 1016),
            Self::Float4 => (700, 1021),
            Self::Float8 => (701, 1022),
            Self::Text => (25, 1009),
            Self::Bytea => (17, 1001),
            Self::Numeric(..) => (1700, 1231),
            Self::Uuid => (2950, 2951),
            Self::Date => (1082, 1182),
            Self::Time => (1083, 1183),
            Self::Timestamp => (1114, 1115),
            Self::Timestamptz => (1184, 1185),
            Self::Interval => (1186, 1187),
            Self::Jsonb => (3802, 3807),
        }
    }
}

/// A column as rules see it: the name folded to lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub ty: ColumnType,
    pub nullable: bool,
}

/// Values of one column, row by row, as the elements of a binary Postgres array: a length, then the value.
#[derive(Debug, Clone)]
pub struct Values {
    ty: ColumnType,
    data: Vec<u8>,
    ends: Vec<u32>,
    nulls: usize,
}

const NULL: [u8; 4] = (-1i32).to_be_bytes();

impl Values {
    pub fn new(ty: ColumnType) -> Self {
        Self { ty, data: Vec::new(), ends: Vec::new(), nulls: 0 }
    }

    pub fn column_type(&self) -> ColumnType {
        self.ty
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes held, for bounds on a batch's size.
    pub fn bytes(&self) -> usize {
        self.data.len()
    }

    pub fn push_null(&mut self) {
        self.data.extend_from_slice(&NULL);
        self.ends.push(self.data.len() as u32);
        self.nulls += 1;
    }

    /// Appends the value that `write` appends; on an error the row is taken back.
    #[inline]
    pub fn push<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<(), E> {
        let start = self.data.len();
        self.data.extend_from_slice(&NULL);
        if let Err(error) = write(&mut self.data) {
            self.data.truncate(start);
            return Err(error);
        }
        let length = (self.data.len() - start - 4) as i32;
        self.data[start..start + 4].copy_from_slice(&length.to_be_bytes());
        self.ends.push(self.data.len() as u32);
        Ok(())
    }

    /// Appends a value of these bytes.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) {
        self.data.reserve(NULL.len() + bytes.len());
        self.data.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
        self.data.extend_from_slice(bytes);
        self.ends.push(self.data.len() as u32);
    }

    /// Appends the value that `write` appends.
    #[inline]
    pub(crate) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let Ok(()) = self.push(|out| {
            write(out);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// The value's bytes without the length; `None` where it is NULL.
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let element = self.element(row);
        (element[..4] != NULL).then(|| &element[4..])
    }

    /// Drops the rows from `rows` on.
    pub fn truncate(&mut self, rows: usize) {
        while self.ends.len() > rows {
            let row = self.ends.len() - 1;
            let start = self.start(row);
            self.nulls -= usize::from(self.data[start..start + 4] == NULL);
            self.data.truncate(start);
            self.ends.pop();
        }
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.data.clear();
        self.ends.clear();
        self.nulls = 0;
    }

    /// Appends the binary array of `rows`, in that order (`array_recv` in Postgres's `arrayfuncs.c`).
    pub fn write_array(&self, rows: &[u32], out: &mut Vec<u8>) {
        let dimensions = i32::from(!rows.is_empty());
        out.extend_from_slice(&dimensions.to_be_bytes());
        out.extend_from_slice(&i32::from(self.nulls > 0).to_be_bytes());
        out.extend_from_slice(&self.ty.oids().0.to_be_bytes());
        if rows.is_empty() {
            return;
        }
        out.extend_from_slice(&(rows.len() as i32).to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        for &row in rows {
            out.extend_from_slice(self.element(row as usize));
        }
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).map_or(0, |before| self.ends[before] as usize)
    }

    fn element(&self, row: usize) -> &[u8] {
        &self.data[self.start(row)..self.ends[row] as usize]
    }
}
