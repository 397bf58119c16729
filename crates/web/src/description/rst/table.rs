//! Grid tables and simple tables.

use super::block::Parser;
use super::{Block, Cell, Table};

/// Largest grid, in characters of its rectangle.
const GRID_CHARS_MAX: usize = 200_000;

/// A grid table at the start of the lines, and how many of them it takes.
pub(super) fn grid(lines: &[&str], parser: &mut Parser, depth: usize) -> Option<(Table, usize)> {
    if !lines[0].starts_with("+-") || !lines[0].ends_with('+') || lines[0].chars().any(|c| !matches!(c, '+' | '-')) {
        return None;
    }
    let used = lines.iter().take_while(|line| line.starts_with(['+', '|'])).count();
    let width = lines[0].chars().count();
    if used < 3 || used * width > GRID_CHARS_MAX {
        return None;
    }
    let mut cells: Vec<Vec<char>> = lines[..used].iter().map(|line| line.chars().collect()).collect();
    if cells.iter().any(|row| row.len() != width) {
        return None;
    }
    let head_line = (1..used - 1).find(|n| cells[*n].iter().all(|c| matches!(c, '+' | '=')));
    if let Some(n) = head_line {
        cells[n].iter_mut().filter(|c| **c == '=').for_each(|c| *c = '-');
    }
    let found = scan(&cells, width)?;
    let mut tops: Vec<usize> = found.iter().flat_map(|cell| [cell.top, cell.bottom]).collect();
    let mut lefts: Vec<usize> = found.iter().flat_map(|cell| [cell.left, cell.right]).collect();
    tops.sort_unstable();
    tops.dedup();
    lefts.sort_unstable();
    lefts.dedup();
    let place = |all: &[usize], n: usize| all.binary_search(&n).unwrap_or(0);
    let mut rows: Vec<(usize, Vec<(usize, Cell)>)> = tops.iter().map(|top| (*top, Vec::new())).collect();
    rows.pop();
    for cell in found {
        let text: Vec<String> = (cell.top + 1..cell.bottom)
            .map(|n| cells[n][cell.left + 1..cell.right].iter().collect::<String>().trim_end().to_owned())
            .collect();
        let blocks = inner(&text, parser, depth);
        let row = place(&tops, cell.top);
        let columns = place(&lefts, cell.right) - place(&lefts, cell.left);
        let height = place(&tops, cell.bottom) - row;
        rows[row].1.push((cell.left, Cell { columns, rows: height, blocks }));
    }
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for (top, mut row) in rows {
        row.sort_by_key(|(left, _)| *left);
        let row = row.into_iter().map(|(_, cell)| cell).collect();
        if head_line.is_some_and(|n| top < n) { head.push(row) } else { body.push(row) }
    }
    Some((Table { caption: String::new(), head, body }, used))
}

fn inner(text: &[String], parser: &mut Parser, depth: usize) -> Vec<Block> {
    let lines: Vec<&str> = text.iter().map(String::as_str).collect();
    let least = lines.iter().filter(|l| !l.trim().is_empty()).map(|l| super::indent_of(l)).min().unwrap_or(0);
    let lines: Vec<&str> = lines.iter().map(|l| l.get(least..).unwrap_or("").trim_end()).collect();
    parser.blocks(&lines, depth + 1)
}

struct Found {
    top: usize,
    left: usize,
    bottom: usize,
    right: usize,
}

/// Finds every cell, from corner to corner, as docutils' GridTableParser does; `None` when they do not tile.
fn scan(cells: &[Vec<char>], width: usize) -> Option<Vec<Found>> {
    let (height, mut done) = (cells.len(), vec![0_usize; width]);
    let mut corners = std::collections::BTreeSet::from([(0_usize, 0_usize)]);
    let mut found = Vec::new();
    while let Some((top, left)) = corners.pop_first() {
        if top == height - 1 || left == width - 1 || top < done[left] {
            continue;
        }
        let Some((bottom, right)) = cell_from(cells, top, left) else { continue };
        for column in &mut done[left..right] {
            *column = bottom;
        }
        corners.insert((top, right));
        corners.insert((bottom, left));
        // Corners of neighbours along the bottom and the right edge.
        corners.extend((left + 1..right).filter(|n| cells[bottom][*n] == '+').map(|n| (bottom, n)));
        corners.extend((top + 1..bottom).filter(|n| cells[*n][right] == '+').map(|n| (n, right)));
        found.push(Found { top, left, bottom, right });
    }
    let whole = done[..width - 1].iter().all(|bottom| *bottom == height - 1);
    (whole && found.len() <= 10_000).then_some(found)
}

fn cell_from(cells: &[Vec<char>], top: usize, left: usize) -> Option<(usize, usize)> {
    let row = &cells[top];
    if row[left] != '+' {
        return None;
    }
    for right in left + 1..row.len() {
        match row[right] {
            '+' => {
                for bottom in top + 1..cells.len() {
                    match cells[bottom][right] {
                        '+' => {
                            let closed = cells[bottom][left] == '+'
                                && cells[bottom][left + 1..right].iter().all(|c| matches!(c, '-' | '+'))
                                && (top + 1..bottom).all(|n| matches!(cells[n][left], '|' | '+'));
                            if closed {
                                return Some((bottom, right));
                            }
                        }
                        '|' => {}
                        _ => break,
                    }
                }
            }
            '-' => {}
            _ => return None,
        }
    }
    None
}

/// Where a cell of a simple table starts, how many columns it takes, its lines.
type Part = (usize, usize, Vec<String>);

/// A line of dashes tells how the row above it spans columns: the cells inside each span become one.
fn span_row(row: &mut Vec<Part>, columns: &[(usize, usize)], spans: &[(usize, usize)]) {
    let text: Vec<(usize, Vec<String>)> = row.drain(..).map(|(start, _, text)| (start, text)).collect();
    for (start, end) in spans {
        let inside = text.iter().filter(|(s, _)| s >= start && s < end);
        let joined = inside.fold(Vec::<String>::new(), |mut all, (_, lines)| {
            for (n, line) in lines.iter().enumerate() {
                match all.get_mut(n) {
                    Some(known) => *known = format!("{known} {line}").trim().to_owned(),
                    None => all.push(line.clone()),
                }
            }
            all
        });
        let wide = columns.iter().filter(|(s, _)| s >= start && s < end).count().max(1);
        row.push((*start, wide, joined));
    }
}

/// A simple table at the start of the lines, and how many of them it takes.
pub(super) fn simple(lines: &[&str], parser: &mut Parser, depth: usize) -> Option<(Table, usize)> {
    let is_rule = |line: &str| line.starts_with('=') && line.chars().all(|c| matches!(c, '=' | ' '));
    if !is_rule(lines[0]) || !lines[0].contains(' ') {
        return None;
    }
    let rules: Vec<usize> = lines.iter().enumerate().filter(|(_, l)| is_rule(l)).map(|(n, _)| n).take(64).collect();
    // The table ends at the first rule that is followed by an empty line or the end; one before it ends the head.
    let end = *rules.iter().skip(1).find(|n| lines.get(**n + 1).is_none_or(|next| next.is_empty()))?;
    let head_end = rules.iter().copied().find(|n| *n > 0 && *n < end);
    let columns = columns_of(lines[0]);
    let last = columns.last()?.0;
    let mut rows: Vec<(usize, Vec<Part>)> = Vec::new();
    let mut continued = false;
    for (n, line) in lines[1..end].iter().enumerate() {
        let n = n + 1;
        let dashes = line.starts_with('-') && line.chars().all(|c| matches!(c, '-' | ' '));
        if is_rule(line) || line.is_empty() {
            continued = line.is_empty() && continued;
            continue;
        }
        if dashes {
            if let Some((_, row)) = rows.last_mut() {
                span_row(row, &columns, &columns_of(line));
            }
            continue;
        }
        let part = |(start, end): (usize, usize)| -> String {
            let chars = line.chars().skip(start);
            if start >= last { chars.collect() } else { chars.take(end - start).collect() }
        };
        let texts: Vec<String> = columns.iter().map(|span| part(*span).trim_end().to_owned()).collect();
        let first_is_empty = texts.first().is_none_or(|text| text.trim().is_empty());
        if first_is_empty
            && continued
            && let Some((_, row)) = rows.last_mut()
        {
            for ((_, _, lines), text) in row.iter_mut().zip(texts) {
                lines.push(text);
            }
        } else {
            rows.push((n, columns.iter().zip(texts).map(|((start, _), text)| (*start, 1, vec![text])).collect()));
        }
        continued = true;
    }
    let (mut head, mut body) = (Vec::new(), Vec::new());
    for (n, row) in rows {
        let cells =
            row.into_iter().map(|(_, columns, text)| Cell { columns, rows: 1, blocks: inner(&text, parser, depth) });
        let cells: Vec<Cell> = cells.collect();
        if head_end.is_some_and(|end| n < end) { head.push(cells) } else { body.push(cells) }
    }
    Some((Table { caption: String::new(), head, body }, end + 1))
}

/// Start and end of each run of marks, in characters.
fn columns_of(line: &str) -> Vec<(usize, usize)> {
    let mut out: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (n, c) in line.chars().enumerate() {
        match (c, open) {
            (' ', _) => open = false,
            (_, true) => {
                if let Some(last) = out.last_mut() {
                    last.1 = n + 1;
                }
            }
            (_, false) => {
                out.push((n, n + 1));
                open = true;
            }
        }
    }
    out
}
