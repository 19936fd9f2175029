//! A rendered document on its way to a template: lines are replaced, blocks are put under a condition. What is to be changed is named by
//! its line, and it is an error if that is not there: the chart cannot fall behind what is rendered.

use super::super::ManifestError;

/// A YAML document, in which a block is a line with all that is indented more, or a list below its title.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<String>);

impl Template {
    pub(super) fn of(text: &str) -> Self {
        Self(text.lines().map(str::to_owned).collect())
    }

    pub(super) fn text(&self) -> String {
        self.0.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
    }

    /// The whole document, only where the condition holds.
    pub(super) fn only_if(&self, condition: &str) -> String {
        format!("{{{{- if {condition} }}}}\n{}{{{{- end }}}}\n", self.text())
    }

    /// The value of each line `name: value` becomes an expression.
    pub(super) fn scalar(self, line: &str, expression: &str) -> Result<Self, ManifestError> {
        let name = line.split_once(": ").map_or(line, |(name, _)| name);
        let replacement = format!("{name}: {{{{ {expression} }}}}");
        self.lines(line, &replacement)
    }

    /// Each such line is replaced, at the indentation that it has.
    pub(super) fn lines(mut self, line: &str, replacement: &str) -> Result<Self, ManifestError> {
        for at in self.places(line)? {
            if let Some(found) = self.0.get_mut(at) {
                *found = format!("{}{replacement}", " ".repeat(indentation(found)));
            }
        }
        Ok(self)
    }

    /// What stands below each such line becomes a value of the user.
    pub(super) fn block(mut self, title: &str, value: &str) -> Result<Self, ManifestError> {
        for at in self.places(title)?.into_iter().rev() {
            let deep = self.0.get(at).map_or(0, |line| indentation(line)) + 2;
            let end = self.end(at);
            self.0.splice(at + 1..end, [format!("{}{{{{- toYaml {value} | nindent {deep} }}}}", " ".repeat(deep))]);
        }
        Ok(self)
    }

    /// Each block, only where the condition holds.
    pub(super) fn block_if(mut self, title: &str, condition: &str) -> Result<Self, ManifestError> {
        for at in self.places(title)?.into_iter().rev() {
            let (end, indent) = (self.end(at), self.0.get(at).map_or(0, |line| indentation(line)));
            let line = |text: &str| format!("{}{{{{- {text} }}}}", " ".repeat(indent));
            self.0.insert(end, line("end"));
            self.0.insert(at, line(&format!("if {condition}")));
        }
        Ok(self)
    }

    /// Lines below each such line, two deeper than it, before all others.
    pub(super) fn begin(mut self, title: &str, added: &[&str]) -> Result<Self, ManifestError> {
        for at in self.places(title)?.into_iter().rev() {
            self.add(at, at + 1, 2, added);
        }
        Ok(self)
    }

    /// Lines at the end of each block, `deeper` than its title.
    pub(super) fn finish(mut self, title: &str, deeper: usize, added: &[&str]) -> Result<Self, ManifestError> {
        for at in self.places(title)?.into_iter().rev() {
            self.add(at, self.end(at), deeper, added);
        }
        Ok(self)
    }

    fn add(&mut self, title: usize, at: usize, deeper: usize, added: &[&str]) {
        let indent = self.0.get(title).map_or(0, |line| indentation(line)) + deeper;
        let lines: Vec<String> = added.iter().map(|line| format!("{}{line}", " ".repeat(indent))).collect();
        self.0.splice(at..at, lines);
    }

    /// Where such lines are: at least one.
    fn places(&self, wanted: &str) -> Result<Vec<usize>, ManifestError> {
        let found = self.0.iter().enumerate().filter(|(_, line)| line.trim_start() == wanted);
        let found: Vec<usize> = found.map(|(at, _)| at).collect();
        if found.is_empty() { Err(ManifestError::Template(wanted.to_owned())) } else { Ok(found) }
    }

    /// The first line that is not in the block any more.
    fn end(&self, title: usize) -> usize {
        let indent = self.0.get(title).map_or(0, |line| indentation(line));
        let is_item = |line: &str| line.trim_start().starts_with("- ");
        let is_title = self.0.get(title).is_some_and(|line| line.ends_with(':') && !is_item(line));
        let below = self.0.iter().skip(title + 1);
        let inside = |line: &&String| indentation(line) > indent || (is_title && indentation(line) == indent && is_item(line));
        title + 1 + below.take_while(inside).count()
    }
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "spec:\n  containers:\n  - name: one\n    env:\n    - name: A\n      value: a\n    - name: B\n      value: b\n    resources:\n      limits:\n        memory: 1Mi\n  replicas: 2\n";

    fn pod() -> Template {
        Template::of(POD)
    }

    #[test]
    fn a_document_that_nothing_is_done_to_stays_as_it_is() {
        assert_eq!(pod().text(), POD);
        assert_eq!(Template::of("a: 1\n").only_if(".Values.a"), "{{- if .Values.a }}\na: 1\n{{- end }}\n");
    }

    #[test]
    fn a_value_becomes_an_expression() {
        let text = pod().scalar("replicas: 2", ".Values.replicas").unwrap().text();
        assert!(text.ends_with("\n  replicas: {{ .Values.replicas }}\n"), "{text}");
    }

    #[test]
    fn a_block_becomes_a_value_of_the_user() {
        let text = pod().block("resources:", ".Values.resources").unwrap().text();
        assert!(text.ends_with("    resources:\n      {{- toYaml .Values.resources | nindent 6 }}\n  replicas: 2\n"), "{text}");
        // The items of a list may be indented no more than its title.
        let text = pod().block("env:", ".Values.env").unwrap().text();
        assert!(text.contains("    env:\n      {{- toYaml .Values.env | nindent 6 }}\n    resources:\n"), "{text}");
    }

    #[test]
    fn an_item_of_a_list_can_depend_on_a_condition() {
        let text = pod().block_if("- name: A", ".Values.a").unwrap().text();
        let wanted = "    env:\n    {{- if .Values.a }}\n    - name: A\n      value: a\n    {{- end }}\n    - name: B\n";
        assert!(text.contains(wanted), "{text}");
    }

    #[test]
    fn lines_can_be_added_at_both_ends_of_a_block() {
        let text = pod().finish("env:", 0, &["- name: C"]).unwrap().text();
        assert!(text.contains("      value: b\n    - name: C\n    resources:\n"), "{text}");
        let text = pod().begin("resources:", &["claims: []"]).unwrap().text();
        assert!(text.contains("    resources:\n      claims: []\n      limits:\n"), "{text}");
    }

    #[test]
    fn what_is_not_there_is_an_error_that_names_it() {
        let error = pod().scalar("replicas: 3", ".Values.replicas").unwrap_err().to_string();
        assert!(error.contains("`replicas: 3`"), "{error}");
        assert!(pod().block("affinity:", ".Values.affinity").is_err());
    }
}
