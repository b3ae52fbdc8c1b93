//! As much SIP as a registrar for tests needs. Written apart from the service's own, so that they cannot share a
//! mistake.

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Message {
    /// The whole text.
    pub text: String,
}

impl Message {
    /// The method.
    pub fn method(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }

    /// The Request-URI.
    pub fn uri(&self) -> &str {
        self.text.split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.trim().eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The number of CSeq.
    pub fn cseq(&self) -> u32 {
        let value = self.header("CSeq").unwrap_or_default();
        value.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0)
    }

    /// The URI of Contact.
    pub fn contact(&self) -> &str {
        let value = self.header("Contact").unwrap_or_default();
        value.split('<').nth(1).and_then(|rest| rest.split('>').next()).unwrap_or_default()
    }

    /// The parameters of Contact.
    pub fn contact_params(&self) -> &str {
        self.header("Contact").and_then(|value| value.split_once('>')).map_or("", |(_, params)| params)
    }

    /// The seconds asked for.
    pub fn expires(&self) -> u32 {
        let from_contact = self.contact_params().split(';').find_map(|param| param.strip_prefix("expires="));
        from_contact.or(self.header("Expires")).and_then(|text| text.parse().ok()).unwrap_or(3600)
    }

    /// The address of record.
    pub fn aor(&self) -> &str {
        let value = self.header("To").unwrap_or_default();
        value.split('<').nth(1).and_then(|rest| rest.split('>').next()).unwrap_or(value)
    }

    /// Are there credentials?
    pub fn has_credentials(&self) -> bool {
        self.header("Authorization").is_some() || self.header("Proxy-Authorization").is_some()
    }

    /// A parameter of the credentials.
    pub fn credential(&self, name: &str) -> Option<String> {
        let value = self.header("Authorization").or(self.header("Proxy-Authorization"))?;
        let value = value.strip_prefix("Digest ")?;
        value.split(", ").find_map(|param| {
            let (key, value) = param.split_once('=')?;
            (key == name).then(|| value.trim_matches('"').to_owned())
        })
    }

    /// A response to it. `headers` are whole lines without line ends.
    pub fn response(
        &self,
        status: u16,
        phrase: &str,
        headers: &[String],
        seen: std::net::SocketAddr,
    ) -> String {
        let mut text = format!("SIP/2.0 {status} {phrase}\r\n");
        let via = self.header("Via").unwrap_or_default();
        let via = via.replace(";rport", &format!(";received={};rport={}", seen.ip(), seen.port()));
        text.push_str(&format!("Via: {via}\r\n"));
        for name in ["From", "Call-ID", "CSeq"] {
            text.push_str(&format!("{name}: {}\r\n", self.header(name).unwrap_or_default()));
        }
        text.push_str(&format!("To: {};tag=r\r\n", self.header("To").unwrap_or_default()));
        for header in headers {
            text.push_str(header);
            text.push_str("\r\n");
        }
        text.push_str("Content-Length: 0\r\n\r\n");
        text
    }
}
