//! SPDX licence expressions (PEP 639): a small recursive-descent reader over the crate's licence list.

use ::spdx::identifiers;

/// Deepest nesting of parentheses.
const DEPTH_MAX: usize = 32;

/// The expression with identifiers and operators in their listed case: `mit and (apache-2.0)` becomes
/// `MIT AND (Apache-2.0)`.
pub fn canonical(text: &str) -> Result<String, String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_whitespace().collect();
    let mut reader = Reader { tokens: &tokens, at: 0, depth: 0 };
    let out = reader.expression()?;
    match reader.peek() {
        None => Ok(out),
        Some(token) => Err(format!("Invalid license expression: unexpected '{token}'.")),
    }
}

struct Reader<'a> {
    tokens: &'a [&'a str],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let token = self.peek().ok_or("Invalid license expression: it ends too early.")?;
        self.at += 1;
        Ok(token)
    }

    fn expression(&mut self) -> Result<String, String> {
        let mut out = self.term()?;
        while let Some(operator) = self.peek().map(str::to_ascii_uppercase).filter(|t| t == "AND" || t == "OR") {
            self.at += 1;
            out = format!("{out} {operator} {}", self.term()?);
        }
        Ok(out)
    }

    fn term(&mut self) -> Result<String, String> {
        let token = self.next()?;
        if token == "(" {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(format!("Invalid license expression: nested deeper than {DEPTH_MAX}."));
            }
            let inner = self.expression()?;
            if self.next()? != ")" {
                return Err("Invalid license expression: a parenthesis is not closed.".into());
            }
            self.depth -= 1;
            return Ok(format!("({inner})"));
        }
        let license = license(token)?;
        if self.peek().is_some_and(|t| t.eq_ignore_ascii_case("with")) {
            self.at += 1;
            let exception = self.next()?;
            let known =
                identifiers::EXCEPTIONS.iter().map(|e| e.name).find(|name| name.eq_ignore_ascii_case(exception));
            let known = known.ok_or_else(|| format!("Unknown license exception: '{exception}'."))?;
            return Ok(format!("{license} WITH {known}"));
        }
        Ok(license)
    }
}

fn license(token: &str) -> Result<String, String> {
    if let Some(name) = token.get(..11).filter(|p| p.eq_ignore_ascii_case("LicenseRef-")).map(|_| &token[11..]) {
        let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
        return if fits { Ok(format!("LicenseRef-{name}")) } else { Err(format!("Invalid licenseref: '{token}'.")) };
    }
    let (base, plus) = match token.strip_suffix('+') {
        Some(base) => (base, "+"),
        None => (token, ""),
    };
    identifiers::LICENSES
        .iter()
        .map(|license| license.name)
        // The crate lists these two beside the licences; they say that there is none.
        .filter(|name| !matches!(*name, "NONE" | "NOASSERTION"))
        .find(|name| name.eq_ignore_ascii_case(base))
        .map(|name| format!("{name}{plus}"))
        .ok_or_else(|| format!("Unknown license: '{token}'."))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn expressions() {
        assert_eq!(
            canonical("mit and (apache-2.0 or bsd-2-clause)").as_deref(),
            Ok("MIT AND (Apache-2.0 OR BSD-2-Clause)")
        );
        assert_eq!(
            canonical("gpl-2.0-only with classpath-exception-2.0").as_deref(),
            Ok("GPL-2.0-only WITH Classpath-exception-2.0")
        );
        assert_eq!(canonical("LicenseRef-My.Own").as_deref(), Ok("LicenseRef-My.Own"));
        for bad in [
            "",
            "MIT MIT",
            "MIT AND",
            "(MIT",
            "MIT)",
            "Nope",
            "LicenseRef-",
            "MIT WITH nope",
            "NONE",
            "noassertion",
            &"(".repeat(100),
        ] {
            assert!(canonical(bad).is_err(), "{bad}");
        }
    }
}
