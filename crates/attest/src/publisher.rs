//! Who publishes a project, as the operator bound it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Claims, Error};

/// Longest part of a publisher's description, in bytes.
pub const PART_BYTES_MAX: usize = 256;

const GITHUB_ISSUER: &str = "https://token.actions.githubusercontent.com";
const GITHUB: &str = "https://github.com";
const GITLAB: &str = "https://gitlab.com";
const GOOGLE_ISSUER: &str = "https://accounts.google.com";

/// An identity outside the index, as provenance names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Publisher {
    /// A workflow of GitHub Actions.
    GitHub {
        /// `<owner>/<repository>`.
        repository: String,
        /// The workflow's file name, without its folder.
        workflow: String,
        /// The deployment environment; when there is one, the certificate must name it.
        environment: Option<String>,
    },
    /// A pipeline of GitLab's public instance.
    GitLab {
        /// `<namespace>/<project>`, with any number of groups between.
        repository: String,
        /// The path of the file that describes the pipeline.
        workflow_filepath: String,
        /// The deployment environment; when there is one, the certificate must name it.
        environment: Option<String>,
    },
    /// A service account of Google Cloud.
    Google {
        /// Its address.
        email: String,
    },
}

impl fmt::Display for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut with = |name: &str, repository: &str, workflow: &str, environment: &Option<String>| {
            write!(f, "{name} {repository}, workflow {workflow}")?;
            environment.iter().try_for_each(|environment| write!(f, ", environment {environment}"))
        };
        match self {
            Self::GitHub { repository, workflow, environment } => with("GitHub", repository, workflow, environment),
            Self::GitLab { repository, workflow_filepath, environment } => {
                with("GitLab", repository, workflow_filepath, environment)
            }
            Self::Google { email } => write!(f, "Google {email}"),
        }
    }
}

impl Publisher {
    /// The same, if its parts can be those of such a publisher.
    ///
    /// # Errors
    /// A sentence about the part.
    pub fn checked(self) -> Result<Self, String> {
        let part = |text: &str, what: &str, fits: bool| {
            let is_plain =
                !text.is_empty() && text.len() <= PART_BYTES_MAX && text.chars().all(|c| c.is_ascii_graphic());
            if is_plain && fits { Ok(()) } else { Err(format!("'{text}' cannot be {what}")) }
        };
        let words = |text: &str| {
            text.split('/').all(|word| !matches!(word, "" | "." | "..")) && !text.contains(['@', '?', '#'])
        };
        let environment_fits = |environment: &Option<String>| {
            // Names of environments may hold blanks.
            let fits =
                |text: &String| !text.is_empty() && text.len() <= PART_BYTES_MAX && !text.contains(char::is_control);
            if environment.as_ref().is_none_or(fits) { Ok(()) } else { Err("this cannot be an environment".to_owned()) }
        };
        match &self {
            Self::GitHub { repository, workflow, environment } => {
                let is_pair = words(repository) && repository.split('/').count() == 2;
                part(repository, "a repository of GitHub: write OWNER/REPOSITORY", is_pair)?;
                let is_file = words(workflow) && !workflow.contains('/') && is_yaml(workflow);
                part(workflow, "a workflow: write the file's name, such as release.yml", is_file)?;
                environment_fits(environment)?;
            }
            Self::GitLab { repository, workflow_filepath, environment } => {
                let is_path = words(repository) && repository.contains('/');
                part(repository, "a project of GitLab: write NAMESPACE/PROJECT", is_path)?;
                let is_file = words(workflow_filepath) && is_yaml(workflow_filepath);
                part(workflow_filepath, "a pipeline: write the file's path, such as .gitlab-ci.yml", is_file)?;
                environment_fits(environment)?;
            }
            Self::Google { email } => {
                part(email, "an e-mail address", email.split('@').filter(|p| !p.is_empty()).count() == 2)?
            }
        }
        Ok(self)
    }

    /// Whether the certificate was issued to this publisher.
    ///
    /// # Errors
    /// [`Error::OtherPublisher`]: what differs.
    pub fn matches(&self, claims: &Claims) -> Result<(), Error> {
        let differs = |what: &str, said: &str, want: &str| {
            Err(Error::OtherPublisher(format!("its certificate's {what} is '{said}', not '{want}'")))
        };
        let issuer = match self {
            Self::GitHub { .. } => GITHUB_ISSUER,
            Self::GitLab { .. } => GITLAB,
            Self::Google { .. } => GOOGLE_ISSUER,
        };
        if claims.issuer != issuer {
            return differs("issuer", &claims.issuer, issuer);
        }
        let (root, repository, path, environment) = match self {
            Self::GitHub { repository, workflow, environment } => {
                (GITHUB, repository, format!("/.github/workflows/{workflow}"), environment)
            }
            Self::GitLab { repository, workflow_filepath, environment } => {
                (GITLAB, repository, format!("//{workflow_filepath}"), environment)
            }
            Self::Google { email } => {
                let said = claims.email.as_deref().unwrap_or("");
                return if said == email { Ok(()) } else { differs("account", said, email) };
            }
        };
        let want = format!("{root}/{repository}");
        let said = claims.source_repository.as_deref().unwrap_or("");
        // Names of owners and repositories are one whatever their case.
        if !said.eq_ignore_ascii_case(&want) {
            return differs("repository", said, &want);
        }
        // The file as of the ref, or as of the commit, that the certificate itself names.
        let said = claims.build_config.as_deref().unwrap_or("");
        let at = [&claims.source_ref, &claims.source_digest].into_iter().flatten().filter(|at| !at.is_empty());
        let runs = |at: &String| {
            said.strip_suffix(at.as_str())
                .and_then(|rest| rest.strip_suffix('@'))
                .and_then(|rest| rest.strip_suffix(path.as_str()))
                .is_some_and(|repository| repository.eq_ignore_ascii_case(&want))
        };
        if !at.into_iter().any(runs) {
            return differs("workflow", said, &format!("{want}{path}@<its ref or commit>"));
        }
        match environment {
            Some(want) if claims.environment.as_ref() != Some(want) => {
                differs("environment", claims.environment.as_deref().unwrap_or(""), want)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// As the ledger and provenance hold it.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a publisher is text")
    }

    /// From what [`Publisher::to_json`] wrote.
    pub fn from_json(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yml") || name.ends_with(".yaml")
}
