//! Many telegrams to columns: one row for each list response, one column for each object name.
//!
//! Meters repeat themselves. What the generic reader has once accepted is kept as a form
//! (`forms`); a telegram of a known form needs no parsing, any other is read by the generic reader
//! (`rows`), and the same telegrams are accepted either way.

use std::collections::HashMap;

use crate::forms::Forms;
use crate::frame::{Event, Scanner};
use crate::memory::{extend_with_zeros, reserve};
use crate::plan::Plan;
use crate::rows::{Number, Roles, Row, Rows};

/// Distinct object names; hostile input must not make columns without end.
pub const MAX_COLUMNS: usize = 256;
/// Rows are added to all columns in blocks, so that absent values cost no work of their own.
const BLOCK: usize = 4096;

/// Values of one object name. Rows without a value have `valid` 0.
pub struct Column {
    pub code: [u8; 6],
    /// DLMS unit code; 0 for none.
    pub unit: u8,
    pub value: Vec<i64>,
    pub scaler: Vec<i8>,
    pub valid: Vec<u8>,
}

#[derive(Default)]
pub struct Columns {
    pub rows: usize,
    /// Where the telegram of each row began.
    pub offset: Vec<u64>,
    /// Server ID of row r: `server_octets[server_ends[r] .. server_ends[r + 1]]`.
    pub server_ends: Vec<i64>,
    pub server_octets: Vec<u8>,
    pub time: Vec<u32>,
    pub time_kind: Vec<u8>,
    /// Status word of the first entry that carries one.
    pub status: Vec<u64>,
    pub status_valid: Vec<u8>,
    pub columns: Vec<Column>,
    pub(crate) by_code: HashMap<[u8; 6], usize>,

    pub telegrams: u64,
    pub rejected: u64,
    pub bytes_skipped: u64,
    /// Messages dropped in good frames.
    pub dropped: u64,
    /// Leniencies used.
    pub deviations: u64,
    /// Numbers that found no place: beyond i64, a second one of the same name, another unit than
    /// the column's, a name that is no OBIS code, or more names than `MAX_COLUMNS`.
    pub left_out: u64,
    /// Telegrams of a form known before.
    pub matched: u64,
}

pub struct Options {
    pub max_frame: usize,
    pub strict: bool,
    /// Off only to show that the result is the same without.
    pub forms: bool,
}

/// Read every telegram of `data`.
pub fn read(plan: &Plan, data: &[u8], options: &Options) -> Result<Columns, String> {
    let roles = Roles::of(plan)?;
    let mut columns = Columns { server_ends: vec![0], ..Columns::default() };
    let mut forms = Forms::default();
    let mut scanner = Scanner::new(options.max_frame, options.strict);
    let mut rows = Rows::new(&roles);
    let mut accepted = 0;
    loop {
        if scanner.between_frames()
            && let Some(length) = forms.follow(data, scanner.position(), &mut columns)
        {
            scanner.jump(scanner.position() + length);
            accepted += length;
            continue;
        }
        match scanner.next(data, true) {
            None => break,
            Some(Event::Rejected { .. }) => columns.rejected += 1,
            Some(Event::Frame(frame)) => {
                let raw = &data[frame.start..frame.end];
                accepted += raw.len();
                if forms.fit(raw, frame.start, &mut columns) {
                    continue;
                }
                let found = rows.read(plan, raw, &frame, options.strict, &mut columns);
                if let Some((row, report)) = found
                    && options.forms
                {
                    forms.learn(raw, &row, &rows, &report, &columns);
                }
            }
        }
    }
    columns.bytes_skipped = (data.len() - accepted) as u64;
    columns.truncate(columns.rows);
    Ok(columns)
}

impl Columns {
    pub fn add(&mut self, row: &Row, offset: usize) {
        let at = self.open_row(offset, &row.server_id);
        (self.time[at], self.time_kind[at]) = row.time();
        if let Some(status) = row.status {
            self.status[at] = status.value as u64;
            self.status_valid[at] = 1;
        }
        for entry in &row.numbers {
            match self.place(entry) {
                Some(column) if self.columns[column].valid[at] == 0 && entry.value.fits() => {
                    let column = &mut self.columns[column];
                    column.value[at] = entry.value.value;
                    column.scaler[at] = entry.scaler;
                    column.valid[at] = 1;
                }
                _ => self.left_out += 1,
            }
        }
    }

    #[inline]
    /// Make room for a row; returns its number.
    pub fn open_row(&mut self, offset: usize, server_id: &[u8]) -> usize {
        let row = self.rows;
        if row.is_multiple_of(BLOCK) {
            self.grow(row + BLOCK);
        }
        self.rows += 1;
        self.offset[row] = offset as u64;
        self.server_octets.extend_from_slice(server_id);
        self.server_ends.push(self.server_octets.len() as i64);
        row
    }

    #[cold]
    fn grow(&mut self, rows: usize) {
        extend_with_zeros(&mut self.offset, rows);
        extend_with_zeros(&mut self.time, rows);
        extend_with_zeros(&mut self.time_kind, rows);
        extend_with_zeros(&mut self.status, rows);
        extend_with_zeros(&mut self.status_valid, rows);
        reserve(&mut self.server_ends, rows + 1);
        for column in &mut self.columns {
            column.grow(rows);
        }
    }

    fn truncate(&mut self, rows: usize) {
        self.offset.truncate(rows);
        self.time.truncate(rows);
        self.time_kind.truncate(rows);
        self.status.truncate(rows);
        self.status_valid.truncate(rows);
        for column in &mut self.columns {
            column.value.truncate(rows);
            column.scaler.truncate(rows);
            column.valid.truncate(rows);
        }
    }

    /// The column a number belongs to, made when its name is new.
    fn place(&mut self, entry: &Number) -> Option<usize> {
        let code = entry.code?;
        match self.by_code.get(&code) {
            Some(&column) => (self.columns[column].unit == entry.unit).then_some(column),
            None if self.columns.len() < MAX_COLUMNS => {
                let mut column =
                    Column { code, unit: entry.unit, value: Vec::new(), scaler: Vec::new(), valid: Vec::new() };
                column.grow(self.offset.len());
                self.by_code.insert(code, self.columns.len());
                self.columns.push(column);
                Some(self.columns.len() - 1)
            }
            None => None,
        }
    }
}

impl Column {
    fn grow(&mut self, rows: usize) {
        extend_with_zeros(&mut self.value, rows);
        extend_with_zeros(&mut self.scaler, rows);
        extend_with_zeros(&mut self.valid, rows);
    }
}
