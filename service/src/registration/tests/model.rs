//! A small registrar that checks credentials with hashes of its own, counts nonces and ignores instance ids.

use std::collections::{BTreeMap, HashMap};

use md5::Md5;
use sha2::{Digest, Sha256, Sha512_256};

use super::*;

/// The registrar.
pub struct Registrar {
    algorithm: &'static str,
    password: &'static str,
    /// Contact URI → when it ends.
    pub bindings: BTreeMap<String, Moment>,
    /// Credentials that did not fit.
    pub refused: usize,
    nonce: u32,
    counts: HashMap<String, u32>,
    served: u64,
}

impl Registrar {
    pub fn new(algorithm: &'static str, password: &'static str) -> Self {
        let (bindings, counts) = (BTreeMap::new(), HashMap::new());
        Self { algorithm, password, bindings, refused: 0, nonce: 0, counts, served: 0 }
    }

    /// Another process counts its attempts from the start.
    pub fn meet_successor(&mut self) {
        self.served = 0;
    }

    /// Answers until nothing is asked any more.
    pub fn serve(&mut self, rig: &mut Rig) {
        while let Some(sent) = rig.sent.last().filter(|sent| sent.attempt > self.served).cloned() {
            self.served = sent.attempt;
            let (status, headers) = self.answer(&sent, rig);
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            rig.answer(status, &headers);
        }
    }

    fn answer(&mut self, sent: &Sent, rig: &Rig) -> (u16, Vec<(&'static str, String)>) {
        if !sent.header("Authorization").is_some_and(|value| self.fits(value, sent)) {
            self.nonce += 1;
            let challenge = format!(
                "Digest realm=\"example.org\", nonce=\"n{}\", qop=\"auth\", algorithm={}, opaque=\"o==\"",
                self.nonce, self.algorithm
            );
            return (401, vec![("WWW-Authenticate", challenge)]);
        }
        self.bindings.retain(|_, end| *end > rig.now);
        let contact = sent.contact(rig.local);
        match sent.expires() {
            0 => drop(self.bindings.remove(&contact)),
            asked => drop(self.bindings.insert(contact, rig.now + seconds(asked.into()))),
        }
        let list = self
            .bindings
            .iter()
            .map(|(uri, end)| ("Contact", format!("<{uri}>;expires={}", end.since(rig.now).as_secs())));
        (200, list.collect())
    }

    fn fits(&mut self, value: &str, sent: &Sent) -> bool {
        let field = |name: &str| {
            let (_, rest) = value.split_once(&format!("{name}="))?;
            let text = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split('"').next(),
                None => rest.split(',').next(),
            };
            text.map(str::to_owned)
        };
        let get = |name: &str| field(name).unwrap_or_default();
        let (nonce, count, cnonce) = (get(" nonce"), get(" nc"), get(" cnonce"));
        let number = u32::from_str_radix(&count, 16).expect("nc is hexadecimal");
        assert!(number > self.counts.get(&nonce).copied().unwrap_or(0), "nc rises");
        assert_eq!(
            (get(" opaque"), get(" qop"), get(" uri")),
            ("o==".into(), "auth".into(), sent.request.uri.clone())
        );
        self.counts.insert(nonce.clone(), number);
        let mut secret = self.hash(&format!("alice:example.org:{}", self.password));
        if self.algorithm.ends_with("-sess") {
            secret = self.hash(&format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = self.hash(&format!("REGISTER:{}", sent.request.uri));
        let right =
            get(" response") == self.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}"));
        self.refused += usize::from(!right);
        right
    }

    fn hash(&self, text: &str) -> String {
        let bytes = match self.algorithm.trim_end_matches("-sess") {
            "MD5" => Md5::digest(text).to_vec(),
            "SHA-256" => Sha256::digest(text).to_vec(),
            _ => Sha512_256::digest(text).to_vec(),
        };
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
